"""Render Sphinx roles in docstrings, ``:class:`~a.b.C```, as plain code."""

import re
from typing import Any

from griffe import Extension

_ROLE = re.compile(r":(?:class|meth|func|attr|data):`(?:~(?:\w+\.)*)?([^`]+)`")


class PlainRoles(Extension):
    """Remove the roles from every docstring before it is parsed."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
