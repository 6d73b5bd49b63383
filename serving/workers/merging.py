"""One view made of several: metric families and statistics of all workers, and of those that have ended.

Counts are added up. A level is the highest of all workers, unless it is an amount (added up) or holds only if it
holds for all of them (the lowest).
"""

from collections.abc import Callable, Iterable, Sequence
from operator import add
from typing import Any

from serving.workers.messages import Family, Report, Sample

_COUNTED = ("counter", "histogram", "unknown")  # Triton's aliases are counters of unknown type
# Levels that each worker has for itself, so that the server has their sum.
_AMOUNTS = frozenset({
    "baton_client_in_flight",
    "baton_explanations_in_flight",
    "baton_in_flight",
    "baton_inflight_bytes",
    "baton_inflight_bytes_limit",
    "baton_low_priority_pending_rows",
    "baton_pending_rows",
    "baton_pending_rows_limit",
    "baton_queue_rows",
    "nv_inference_pending_request_count",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
})  # fmt: skip
# Of these the lowest: the server is as old as its oldest process.
_OF_ALL = frozenset({
    "baton_model_loaded_timestamp_seconds",
    "process_max_fds",
    "process_start_time_seconds",
})  # fmt: skip
_CONTAINER = "baton_cgroup_"
"""Begins the names of the container's own counts: every worker shows the same, so they are not added up."""

Statistics = list[dict[str, Any]]
_Key = tuple[str, tuple[tuple[str, str], ...]]


def merge_families(parts: Iterable[Sequence[Family]]) -> list[Family]:
    """Each family once, in the order in which they first come."""
    merged: dict[str, Family] = {}
    samples: dict[str, dict[_Key, Sample]] = {}
    for part in parts:
        for family in part:
            known = merged.setdefault(family.name, Family(family.name, family.kind, family.documentation, []))
            combine, known_samples = _rule(family), samples.setdefault(family.name, {})
            for sample in family.samples:
                key = _key(sample)
                before = known_samples.get(key)
                if before is None:
                    known_samples[key] = Sample(sample.name, sample.labels, sample.value, sample.exemplar)
                    known.samples.append(known_samples[key])
                else:
                    before.value = combine(before.value, sample.value)
                    before.exemplar = _latest(before, sample)
    return list(merged.values())


def add_ended(families: Sequence[Family], ended: Sequence[Family]) -> list[Family]:
    """`families` with the counts of ended workers, for as long as a live worker shows the same series."""
    shown = {family.name: {_key(sample) for sample in family.samples} for family in families}
    still = [
        Family(
            family.name,
            family.kind,
            family.documentation,
            [sample for sample in family.samples if _key(sample) in shown.get(family.name, ())],
        )
        for family in ended
    ]
    return merge_families((families, [family for family in still if family.samples]))


def merge_statistics(parts: Iterable[Statistics]) -> Statistics:
    """Each version once: counts and nanoseconds of all."""
    merged: dict[tuple[str, str], dict[str, Any]] = {}
    for part in parts:
        for one in part:
            key = one["name"], one["version"]
            merged[key] = _plus(merged[key], one) if key in merged else one
    return [merged[key] for key in sorted(merged)]


def add_ended_statistics(statistics: Statistics, ended: Statistics) -> Statistics:
    """`statistics` with the counts of ended workers, for versions that still answer."""
    shown = {(one["name"], one["version"]) for one in statistics}
    return merge_statistics((statistics, [one for one in ended if (one["name"], one["version"]) in shown]))


def accumulate_ended(ended: Report, last: Report) -> Report:
    """The report of ended workers with one more: the counts of its process, not its levels.

    Not those of its models either: its successor counts on from them (`workers.counts`).
    """
    counts = _counts(last.families, lambda sample: not _is_of_a_model(sample))
    return Report(0, merge_families((ended.families, counts)), [], [], {})


def counts_of_models(last: Report) -> Report:
    """The counts of a worker's models, which stand for it until its successor reports."""
    return Report(0, _counts(last.families, _is_of_a_model), last.statistics, [], {})


def add_up(reports: Sequence[Report]) -> Report:
    """Reports that hold nothing but counts, as one."""
    return Report(
        worker=0,
        families=merge_families(report.families for report in reports),
        statistics=merge_statistics(report.statistics for report in reports),
        index=[],
        diagnostics={},
    )


def nothing_ended() -> Report:
    """The report of ended workers while none has."""
    return Report(worker=0, families=[], statistics=[], index=[], diagnostics={})


def _counts(families: Iterable[Family], which: Callable[[Sample], bool]) -> list[Family]:
    return [
        Family(
            family.name,
            family.kind,
            family.documentation,
            [Sample(each.name, each.labels, each.value) for each in family.samples if which(each)],
        )
        for family in families
        if family.kind in _COUNTED and not family.name.startswith(_CONTAINER)
    ]


def _is_of_a_model(sample: Sample) -> bool:
    """All counts with this label are made of `engine.metrics.ModelMetrics`; a test of the exposition says so."""
    return "model" in sample.labels


def _rule(family: Family) -> Callable[[float, float], float]:
    if family.name.startswith(_CONTAINER):
        return max
    if family.kind in _COUNTED or family.name in _AMOUNTS:
        return add
    return min if family.name in _OF_ALL else max


def _key(sample: Sample) -> _Key:
    return sample.name, tuple(sorted(sample.labels.items()))


def _latest(one: Sample, other: Sample) -> tuple[dict[str, str], float, float | None] | None:
    if one.exemplar is None or other.exemplar is None:
        return one.exemplar or other.exemplar
    return max(one.exemplar, other.exemplar, key=lambda exemplar: exemplar[2] or 0)


def _plus(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Two statistics of one version, or parts of them; both have the same keys."""
    made: dict[str, Any] = {}
    for name, mine in one.items():
        theirs = other[name]
        if name == "last_inference":  # a time
            made[name] = max(mine, theirs)
        elif name == "batch_stats":
            made[name] = _plus_batches(mine, theirs)
        elif isinstance(mine, dict):
            made[name] = _plus(mine, theirs)
        else:
            made[name] = mine + theirs if isinstance(mine, int) else mine
    return made


def _plus_batches(mine: Statistics, theirs: Statistics) -> Statistics:
    by_size = {each["batch_size"]: each for each in mine}
    for each in theirs:
        size = each["batch_size"]
        by_size[size] = {**_plus(by_size[size], each), "batch_size": size} if size in by_size else each
    return [by_size[size] for size in sorted(by_size)]
