"""Metrics and statistics of several workers become those of one server."""

from typing import Any

import pytest

from serving.workers.merging import (
    accumulate_ended,
    add_ended,
    add_ended_statistics,
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
        ("baton_ready", "gauge", 2),
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


def test_ended_workers_leave_their_counts_and_not_their_levels() -> None:
    ended = nothing_ended()
    for _ in range(2):
        ended = accumulate_ended(ended, report(family("c", "counter", a=2), family("g", "gauge", a=2)))
    live = [family("c", "counter", a=1), family("g", "gauge", a=1)]
    counted, level = add_ended(live, ended.families)
    assert [sample.value for sample in counted.samples] == [5]
    assert [sample.value for sample in level.samples] == [1]


def test_counts_of_a_version_that_no_worker_serves_any_more_are_not_shown() -> None:
    ended = accumulate_ended(nothing_ended(), report(family("c", "counter", gone=2, a=2)))
    (one,) = add_ended([family("c", "counter", a=1)], ended.families)
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
