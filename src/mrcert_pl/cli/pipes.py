"""Standard output that is closed early, as by ``mrcert ... | head``."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Exit code of a process that SIGPIPE ends.
_SIGPIPE = 141


@contextmanager
def closing_quietly() -> Iterator[None]:
    """End the process without a traceback if its standard output is closed."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Another pipe may be broken, which would be an error.
        if not _unread():
            raise
        # Python flushes again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(_SIGPIPE)


def _unread() -> bool:
    """Return whether standard output is a pipe without a reader."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), select.POLLOUT)
    return any(event & select.POLLERR for _, event in poll.poll(0))
