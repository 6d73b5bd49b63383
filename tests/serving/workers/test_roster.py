"""The roster says whether all workers are ready, and keeps the counts of those that ended."""

import pytest

from serving.workers.messages import Changed, Family, Report, Sample
from serving.workers.roster import CpuUse, Roster, Worker
from tests.serving.workers.stubs import family, report, worker


def _settle(roster: Roster, number: int, state: Changed) -> Worker:
    one = worker(number)
    one.up = True
    roster.add(one)
    roster.settle(one, state)
    one.slot.leave()
    return one


def test_a_worker_that_is_not_there_is_starting_and_one_that_was_told_to_stop_is_leaving() -> None:
    roster = Roster(2)
    _settle(roster, 1, Changed(True, {}, {}))
    (first,) = roster
    first.leaving_s = 1.0
    assert roster.readiness().missing == ["worker 1 of 2 is leaving", "worker 2 of 2 is starting"]
    assert not roster.settled
    assert roster.up == [first]


def test_at_the_start_workers_are_ready_together() -> None:
    roster = Roster(2)
    _settle(roster, 2, Changed(True, {}, {}))
    assert not roster.readiness().ready
    _settle(roster, 1, Changed(True, {}, {}))
    assert roster.readiness().ready
    assert [each.number for each in roster] == [1, 2]


@pytest.mark.parametrize("strict", [False, True])
def test_then_one_that_answers_is_enough_unless_readiness_is_strict(strict: bool) -> None:
    roster = Roster(2, strict=strict)
    _settle(roster, 1, Changed(True, {}, {}))
    second = _settle(roster, 2, Changed(True, {}, {}))
    second.silent = True
    readiness = roster.readiness()
    assert (readiness.ready, readiness.missing) == (not strict, ["worker 2 of 2 does not answer"])
    roster.remove(second)
    assert roster.readiness().ready is not strict
    (first,) = roster
    first.leaving_s = 1.0
    assert not roster.readiness().ready


def test_connections_go_to_workers_that_answer_for_every_model() -> None:
    roster = Roster(3)
    whole = _settle(roster, 1, Changed(True, {}, {}, served=["m", "n"]))
    lacking = _settle(roster, 2, Changed(True, {"m": "bad"}, {}, served=["n"]))
    starting = worker(3)
    starting.up = True
    roster.add(starting)
    assert roster.takers() == [whole]
    whole.silent = True
    assert roster.takers() == [lacking]
    lacking.leaving_s = 1.0
    assert roster.takers() == [starting]
    assert roster.takers(leaving=True) == [lacking]
    starting.slot.leave()


def test_a_process_is_taken_to_work_until_its_cpu_time_was_read_twice() -> None:
    first = CpuUse.after(None, 10.0, 3.0)
    assert first.rate == 1.0
    assert CpuUse.after(first, 12.0, 4.0).rate == 0.5
    assert CpuUse.after(first, 12.0, None).rate == 0.0


def test_a_model_that_one_worker_answers_and_another_does_not_is_a_reason_not_to_be_ready() -> None:
    roster = Roster(2)
    _settle(roster, 1, Changed(True, {}, {}, served=["m"]))
    _settle(roster, 2, Changed(True, {"m": "bad"}, {}))
    assert (roster.readiness().ready, roster.readiness().problems) == (False, {"m": "bad"})


def _totals(roster: Roster) -> dict[str, float]:
    return {sample.name: sample.value for each in roster.ended.families for sample in each.samples}


def _report(models: float, process: float) -> Report:
    own = Family("cpu", "counter", "", [Sample("cpu", {}, process)])
    return report(family("c", "counter", m=models), own)


def test_counts_of_an_ended_process_stay_and_those_of_its_models_until_its_successor_tells_them() -> None:
    roster = Roster(1)
    ready = Changed(True, {}, {})
    first = _settle(roster, 1, ready)
    roster.report(first, _report(2, 10))
    roster.remove(first)
    assert not list(roster)
    assert _totals(roster) == {"c": 2, "cpu": 10}

    second = worker(1)
    second.up = True
    roster.add(second)
    assert not roster.shown  # its counts would be those of some models only
    roster.settle(second, ready)
    assert roster.shown == [second]
    assert _totals(roster) == {"c": 2, "cpu": 10}
    roster.report(second, _report(5, 1))  # three were counted after the last report of the first
    assert _totals(roster) == {"cpu": 10}
    roster.remove(second)
    assert _totals(roster) == {"c": 5, "cpu": 11}
    second.slot.leave()


def test_a_worker_that_ends_before_it_has_loaded_its_models_leaves_the_counts_as_they_were() -> None:
    roster = Roster(1)
    first = _settle(roster, 1, Changed(True, {}, {}))
    roster.report(first, _report(2, 10))
    roster.remove(first)
    second = worker(1)
    roster.add(second)
    roster.report(second, _report(1, 1))  # as it leaves
    roster.remove(second)
    assert _totals(roster) == {"c": 2, "cpu": 11}
    second.slot.leave()


def test_the_supervisors_own_metrics_count_workers_and_restarts() -> None:
    roster = Roster(2)
    _settle(roster, 1, Changed(True, {}, {}))
    roster.restarts = 3
    samples = {each.samples[0].name: each.samples[0].value for each in roster.families()}
    assert samples == {
        "baton_ready": 0,
        "baton_workers": 2,
        "baton_workers_up": 1,
        "baton_worker_restarts_total": 3,
    }
