"""The gate of the server: limit and counts, as an ASGI application."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from mrcert_pl.guard.gate import DECISION, Gate, Metrics

SCOPE: Scope = {"type": "http", "path": "/predict", "method": "POST", "headers": []}


async def receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


class Waiting:
    """Answers 200 once it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.released.wait()
        headers = [(DECISION.encode(), b"accept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"done"})


def sender() -> tuple[list[Message], Send]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    return sent, send


def test_requests_above_the_limit_are_refused_and_all_are_counted() -> None:
    async def run() -> tuple[list[Any], Metrics]:
        app, metrics = Waiting(), Metrics()
        gate = Gate(app, "/predict", 2, metrics)
        answers = [sender() for _ in range(4)]
        first = [asyncio.create_task(gate(SCOPE, receive, send)) for _, send in answers[:2]]
        await asyncio.sleep(0)
        assert metrics.in_flight == 2
        await gate(SCOPE, receive, answers[2][1])
        app.released.set()
        await asyncio.gather(*first)
        await gate(SCOPE, receive, answers[3][1])
        return [sent[0] for sent, _ in answers], metrics

    starts, metrics = asyncio.run(run())
    assert [start["status"] for start in starts] == [200, 200, 503, 200]
    assert (b"retry-after", b"1") in starts[2]["headers"]
    assert metrics.in_flight == 0
    text = metrics.text()
    assert 'mrcert_requests_total{status="200"} 3\nmrcert_requests_total{status="503"} 1\n' in text
    assert 'mrcert_verdicts_total{decision="accept"} 3\n' in text
    assert "mrcert_request_seconds_count 4\n" in text


def test_other_paths_have_no_limit() -> None:
    async def run() -> Metrics:
        app, metrics = Waiting(), Metrics()
        app.released.set()
        await Gate(app, "/predict", 0, metrics)({**SCOPE, "path": "/health"}, receive, sender()[1])
        return metrics

    assert not asyncio.run(run()).statuses


def test_a_failing_application_leaves_the_gate_open() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError

    metrics = Metrics()
    for _ in range(3):
        with pytest.raises(ValueError):  # noqa: PT011
            asyncio.run(Gate(fail, "/predict", 1, metrics)(SCOPE, receive, sender()[1]))
    assert metrics.in_flight == 0
    assert metrics.statuses == {499: 3}
