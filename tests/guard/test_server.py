"""Signals and shutdown of the server, in this process."""

import os
import signal
import threading
from typing import Any

import pytest

pytest.importorskip("litserve", reason="LitServe is not installed: pip install 'mrcert_pl[serve]'")

import litserve

from mrcert_pl.guard.server import GuardServer, signals_stop_once


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_interrupts_and_later_ones_are_ignored(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with signals_stop_once():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_process_that_inherits_the_handler_is_not_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    with signals_stop_once():
        monkeypatch.setattr(os, "getpid", lambda: -1)
        signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("reasons", "failure"),
    [
        (["normal", "worker died"], None),
        (["keyboard_interrupt"], None),
        (["worker died", "normal"], "worker died"),
    ],
)
def test_only_the_first_shutdown_runs(reasons: list[str], failure: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(
        litserve.LitServer, "_perform_graceful_shutdown", lambda self, manager, workers, reason: ran.append(reason)
    )
    server: Any = GuardServer.__new__(GuardServer)
    server._shutdown_event, server._shutdown_lock = threading.Event(), threading.Lock()
    for reason in reasons:
        server._perform_graceful_shutdown(None, [], reason)
    assert ran == reasons[:1]
    assert server.failure == failure
