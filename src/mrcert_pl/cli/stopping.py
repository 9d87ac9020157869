"""Ends of a command from outside: Ctrl-C, and standard output that is closed early, as by ``mrcert ... | head``."""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Exit codes of processes that SIGINT and SIGPIPE end.
_SIGINT = 130
_SIGPIPE = 141


@contextmanager
def stopping_quietly() -> Iterator[None]:
    """End the process without a traceback after Ctrl-C, or if its standard output is closed."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C", file=sys.stderr)
        sys.exit(_SIGINT)
    except SystemExit as ended:
        # Lightning ends the process with 1.
        if isinstance(ended.__context__, KeyboardInterrupt):
            sys.exit(_SIGINT)
        raise
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
