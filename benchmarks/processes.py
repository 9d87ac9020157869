"""Work in a process of its own, whose output goes to a file."""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def begun(work: Callable[[], int], log: Path) -> int:
    """Begin some work in a forked process that leads a group of its own; return the number of both.

    Args:
        work: Returns the exit code; an exception is written to ``log``, and the exit code is then 1.
        log: File to which all output is appended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    if child := os.fork():
        # By both of them, so that the group is there whoever comes first.
        with suppress(OSError):
            os.setpgid(child, child)
        return child
    status = 1
    try:
        os.setpgid(0, 0)
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        status = work()
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
