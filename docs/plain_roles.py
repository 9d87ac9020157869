"""Docstrings name other objects as Sphinx does, ``:class:`~a.b.C```; on the site the name stays, as code."""

import re
from typing import Any

from griffe import Extension

_ROLE = re.compile(r":(?:class|meth|func|attr|data):`(?:~(?:\w+\.)*)?([^`]+)`")


class PlainRoles(Extension):
    """Takes the roles out of every docstring before it is parsed."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _ROLE.sub(r"`\1`", obj.docstring.value)
