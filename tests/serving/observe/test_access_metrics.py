"""Metrics of access: refusals by reason, and clients by their names in the file."""

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from serving.access.gate import Gate
from serving.access.refusals import REASONS, Refusals
from serving.observe.access_metrics import AccessCollector
from tests.serving.access.test_keys import KEY, bearer, write


def shown(collector: AccessCollector) -> list[str]:
    registry = CollectorRegistry()
    registry.register(collector)
    return [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]


def test_every_reason_and_every_client_has_its_series(tmp_path: Path) -> None:
    refusals = Refusals()
    gate = Gate(write(tmp_path / "keys", f"alice {KEY} rate=1"), 1, refusals)
    collector = AccessCollector(refusals, gate.keys)
    refusals.note("host", "Host: …", "")
    gate.keys.identify(bearer(KEY)).admit()
    gate.enter(bearer(KEY), "")
    assert shown(collector) == [
        *(f'baton_access_refused_total{{reason="{reason}"}} {float(reason == "host")}' for reason in REASONS),
        'baton_client_requests_total{client="alice",outcome="admitted"} 1.0',
        'baton_client_requests_total{client="alice",outcome="limited"} 0.0',
        'baton_client_in_flight{client="alice"} 1.0',
    ]


def test_without_keys_there_are_no_clients() -> None:
    assert len(shown(AccessCollector(Refusals(), None))) == len(REASONS)
