"""ASGI middleware of the server: a limit on concurrent requests, and counts for ``/metrics``."""

import logging
import time
from collections import Counter

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Header of an answer that carries the decision of its verdict.
DECISION = "x-decision"
_log = logging.getLogger(__name__)


class Metrics:
    """Counts of one server process.

    Attributes:
        in_flight: Number of requests between their first byte and their answer.
        statuses: Number of answers by HTTP status; 499: the client closed the connection.
        decisions: Number of verdicts by decision.
        seconds: Total time of all answered requests.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.statuses: Counter[int] = Counter()
        self.decisions: Counter[str] = Counter()
        self.seconds = 0.0

    def text(self) -> str:
        """All counts in Prometheus' text format."""
        lines = [
            "# TYPE mrcert_requests_in_flight gauge",
            f"mrcert_requests_in_flight {self.in_flight}",
            "# TYPE mrcert_requests_total counter",
            *(f'mrcert_requests_total{{status="{status}"}} {n}' for status, n in sorted(self.statuses.items())),
            "# TYPE mrcert_verdicts_total counter",
            *(f'mrcert_verdicts_total{{decision="{name}"}} {n}' for name, n in sorted(self.decisions.items())),
            "# TYPE mrcert_request_seconds summary",
            f"mrcert_request_seconds_sum {self.seconds:.6f}",
            f"mrcert_request_seconds_count {sum(self.statuses.values())}",
        ]
        return "\n".join(lines) + "\n"


class Gate:
    """Refuse requests to a path above a limit, and count all of them.

    Args:
        app: The application behind the gate.
        path: The path that is limited.
        limit: Maximum number of concurrent requests.
        metrics: Counts.
    """

    def __init__(self, app: ASGIApp, path: str, limit: int, metrics: Metrics) -> None:
        self.app = app
        self.path = path
        self.limit = limit
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != self.path:
            await self.app(scope, receive, send)
            return
        metrics, started, status = self.metrics, time.perf_counter(), 499

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                for name, value in message["headers"]:
                    if name == DECISION.encode():
                        metrics.decisions[value.decode()] += 1
            await send(message)

        if metrics.in_flight >= self.limit:
            busy = JSONResponse(
                {"detail": f"{self.limit} requests are in progress; try again"}, 503, headers={"retry-after": "1"}
            )
            await busy(scope, receive, counted)
            metrics.statuses[503] += 1
            return
        metrics.in_flight += 1
        try:
            await self.app(scope, receive, counted)
        finally:
            metrics.in_flight -= 1
            metrics.statuses[status] += 1
            metrics.seconds += time.perf_counter() - started
