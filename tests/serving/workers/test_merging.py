"""Metrics and statistics of several workers become those of one server."""

from typing import Any

import pytest

from serving.workers.merging import (
    accumulate_ended,
    add_ended,
    add_ended_statistics,
    add_up,
    counts_of_models,
    merge_families,
    merge_statistics,
    nothing_ended,
)
from serving.workers.messages import Family, Sample
from tests.serving.workers.stubs import family, report


@pytest.mark.parametrize(
    ("name", "kind", "merged"),
    [
        ("baton_requests", "counter", 5),
        ("nv_inference_count", "unknown", 5),
        ("baton_queue_rows", "gauge", 5),
        ("baton_queue_age_seconds", "gauge", 3),
        ("process_max_fds", "gauge", 2),
        ("baton_model_info", "gauge", 3),
        ("baton_cgroup_cpu_periods", "counter", 3),
    ],
)
def test_counts_add_up_and_levels_do_not(name: str, kind: str, merged: float) -> None:
    (one,) = merge_families(([family(name, kind, a=2)], [family(name, kind, a=3)]))
    assert [sample.value for sample in one.samples] == [merged]


def test_merging_leaves_the_reports_as_they_are() -> None:
    parts = [[family("c", "counter", a=2)], [family("c", "counter", a=3)]]
    merge_families(parts)
    assert [[sample.value for sample in each.samples] for (each,) in parts] == [[2], [3]]


def test_the_latest_exemplar_stands_for_all() -> None:
    old, new = ({"trace_id": "a"}, 0.1, 10.0), ({"trace_id": "b"}, 0.2, 20.0)
    parts = [[Family("h", "histogram", "", [Sample("h_bucket", {}, 1, each)])] for each in (None, new, old)]
    (one,) = merge_families(parts)
    assert one.samples[0].exemplar == new


def _process(value: float) -> Family:
    return Family("cpu", "counter", "", [Sample("cpu", {}, value)])


def test_ended_processes_leave_their_counts_but_not_their_levels_nor_the_counts_of_their_models() -> None:
    ended = nothing_ended()
    for _ in range(2):
        last = report(
            _process(2), family("c", "counter", a=2), Family("g", "gauge", "", [Sample("g", {}, 2)])
        )
        ended = accumulate_ended(ended, last)
    assert {sample.name: sample.value for each in ended.families for sample in each.samples} == {"cpu": 4}


def test_counts_of_models_are_those_with_the_label_and_the_statistics() -> None:
    last = report(_process(2), family("c", "counter", a=2), statistics=[_statistics("a", 2)])
    (one,) = (each for each in counts_of_models(last).families if each.samples)
    assert (one.name, counts_of_models(last).statistics) == ("c", [_statistics("a", 2)])
    both = add_up([counts_of_models(last)] * 2)
    assert [each.samples[0].value for each in both.families if each.samples] == [4]
    assert both.statistics[0]["inference_count"] == 4


def test_counts_of_a_version_that_no_worker_serves_any_more_are_not_shown() -> None:
    left = counts_of_models(report(family("c", "counter", gone=2, a=2)))
    (one,) = add_ended([family("c", "counter", a=1)], left.families)
    assert [(sample.labels["model"], sample.value) for sample in one.samples] == [("a", 3)]


def _statistics(name: str, count: int, **sizes: int) -> dict[str, Any]:
    batches = [
        {"batch_size": int(size[1:]), "compute_infer": {"count": each, "ns": 10 * each}}
        for size, each in sizes.items()
    ]
    return {
        "name": name, "version": "1", "last_inference": count, "inference_count": count,
        "inference_stats": {"success": {"count": count, "ns": 7}}, "batch_stats": batches,
    }  # fmt: skip


def test_statistics_add_up_by_batch_size() -> None:
    (merged,) = merge_statistics(([_statistics("m", 3, b1=1, b2=1)], [_statistics("m", 9, b2=2, b4=1)]))
    assert merged == _statistics("m", 12, b1=1, b2=3, b4=1) | {
        "last_inference": 9,
        "inference_stats": {"success": {"count": 12, "ns": 14}},
    }


def test_statistics_of_ended_workers_count_for_versions_that_still_answer() -> None:
    ended = [_statistics("m", 3), _statistics("gone", 5)]
    (shown,) = add_ended_statistics([_statistics("m", 1)], ended)
    assert (shown["name"], shown["inference_count"]) == ("m", 4)
