"""The tally of a day: an answer is right, wrong, or allowed by what happens to its model just now."""

import pytest

from benchmarks.soak.client import Answer
from benchmarks.soak.mix import Request
from benchmarks.soak.traffic import Tally, Traffic

ASKED = Request("a text", b"", model="m", counts=True)


def _checked(traffic: Traffic, *answers: tuple[int, bytes], away: bool = False) -> Tally:
    tally = Tally()
    for status, body in answers:
        traffic._check(ASKED, Answer(status, b"", body), tally, away=away, crowded=False)
    return tally


def test_an_answer_of_another_status_or_another_label_is_wrong() -> None:
    tally = _checked(Traffic(0, 1), (200, b'{"label":"good"}'), (200, b'{"label":"bad"}'), (500, b"odd"))
    assert (tally.asked, tally.wrong, tally.succeeded["m"]) == (3, 2, 2)
    assert tally.samples == ["a text: said b'bad', and b'good' before", "a text: 500 b'odd'"]


@pytest.mark.parametrize(("away", "wrong"), [(True, 0), (False, 1)])
def test_a_model_that_somebody_has_unloaded_may_be_away(away: bool, wrong: int) -> None:
    assert _checked(Traffic(0, 1), (503, b""), away=away).wrong == wrong
