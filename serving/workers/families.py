"""Metric families between `prometheus_client` and the messages; the supervisor never imports this module."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import Metric
from prometheus_client.samples import Exemplar
from prometheus_client.samples import Sample as Line

from serving.workers.messages import Family, Sample


class Families:
    """Families of messages, as the encoders of `prometheus_client` read them."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All of them."""
        for family in self._families:
            metric = Metric(family.name, family.documentation, family.kind)
            metric.samples = [
                Line(each.name, each.labels, each.value, None, each.exemplar and Exemplar(*each.exemplar))
                for each in family.samples
            ]
            yield metric


def family_of(metric: Metric) -> Family:
    """A metric of `prometheus_client` as it goes into a message."""
    return Family(metric.name, metric.type, metric.documentation, [_sample(line) for line in metric.samples])


def _sample(line: Line) -> Sample:
    exemplar = line.exemplar
    return Sample(
        line.name,
        dict(line.labels),
        float(line.value),
        exemplar and (dict(exemplar.labels), float(exemplar.value), _seconds(exemplar.timestamp)),
    )


def _seconds(timestamp: Any) -> float | None:
    return None if timestamp is None else float(timestamp)
