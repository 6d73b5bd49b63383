"""A worker obeys its orders, and says why a change was not made."""

import asyncio
import os

import pytest
from prometheus_client import CollectorRegistry, Counter

from inference.errors import BatonError, LoadRefused, ModelNotFound, ModelNotReady
from serving.engine.group import Process
from serving.engine.inflight import InflightBytes
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import IndexEntry, ServedModel
from serving.workers.messages import Changed, Failure, Load, Order, Report
from serving.workers.orders import OrderHandler
from serving.workers.profiles import SharedProfiles


class StubRegistry(ModelRegistry):
    """Serves nothing; `load` raises the test's error."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def served(self) -> list[ServedModel]:
        return []

    def problems(self) -> dict[str, str]:
        return {"m": "bad"}

    def index(self) -> list[IndexEntry]:
        return []

    async def load(self, name: str) -> None:
        if self._error is not None:
            raise self._error


def _handler(registry: ModelRegistry, metrics: CollectorRegistry) -> OrderHandler:
    return OrderHandler(
        2, Process(registry, metrics, lambda: True, "cpu", 0.0, InflightBytes(1 << 20)), SharedProfiles(None)
    )


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (None, None),
        (ModelNotFound("m"), Failure(str(ModelNotFound("m")), found=False)),
        (LoadRefused("m", "bad"), Failure("bad", serves=True)),
        (ModelNotReady("m", "bad"), Failure("bad")),
        (BatonError("bad"), Failure("bad")),
        (OSError("disk"), Failure("disk")),
        (RuntimeError("a bug"), Failure("RuntimeError: a bug")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_change_says_why_it_was_not_made(error: Exception | None, failure: Failure | None) -> None:
    handler = _handler(StubRegistry(error), CollectorRegistry())
    done = asyncio.run(handler.handle(Order(5, Load("m"))))
    assert done.id == 5
    assert done.result == Changed(True, {"m": "bad"}, {}, failure, [])


def test_a_report_holds_the_metrics_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Process, "diagnostics", lambda _: {"models": []})
    metrics = CollectorRegistry()
    Counter("answers", "Answers.", registry=metrics).inc(3)
    report = _handler(StubRegistry(), metrics).report()
    assert isinstance(report, Report)
    assert (report.worker, report.diagnostics) == (2, {"models": [], "pid": os.getpid()})
    totals = {sample.name: sample.value for each in report.families for sample in each.samples}
    assert totals["answers_total"] == 3
