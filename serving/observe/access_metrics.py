"""Metrics of access: refusals by reason, and the requests of each client with an API key."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.access.keys import ApiKeys
from serving.access.refusals import Refusals


class AccessCollector(Collector):
    """Reads everything at the moment of a scrape. The label `client` has names of the file of API keys alone."""

    def __init__(self, refusals: Refusals, keys: ApiKeys | None) -> None:
        """`keys`: None where no key is asked for."""
        self._refusals, self._keys = refusals, keys

    def collect(self) -> Iterator[Metric]:
        """Refusals first, then the clients."""
        refused = CounterMetricFamily(
            "baton_access_refused", "Requests that were refused before a model was asked.", labels=("reason",)
        )
        for reason, count in self._refusals.counts.items():
            refused.add_metric((reason,), count)
        yield refused
        if self._keys is None:
            return
        requests = CounterMetricFamily(
            "baton_client_requests",
            "Requests of a client with an API key, admitted or over its limits.",
            labels=("client", "outcome"),
        )
        active = GaugeMetricFamily(
            "baton_client_in_flight", "Requests of a client that are not yet answered.", labels=("client",)
        )
        for client in self._keys.clients.values():
            requests.add_metric((client.name, "admitted"), client.admitted)
            requests.add_metric((client.name, "limited"), client.refused)
            active.add_metric((client.name,), client.active)
        yield requests
        yield active
