"""The measurements of calibration in short: the promises of `python -m benchmarks.calibration`, on fewer draws."""

import pytest

from benchmarks.calibration import coverage, temperatures, windows
from benchmarks.calibration.draws import Model
from training.evaluate.conformal import By


@pytest.mark.parametrize("rows", [54, 500])
@pytest.mark.parametrize("perfect", [True, False], ids=["perfect", "any"])
def test_no_validation_of_a_calibrated_model_harms_its_answers(rows: int, perfect: bool) -> None:
    model = temperatures.CALIBRATED
    draw = model.without_mistakes if perfect else model
    assert temperatures.ratios(model, draw, rows, draws=15).worst <= temperatures.MOST_RATIO


def test_a_model_that_is_too_sure_is_mended() -> None:
    model = temperatures.OVERCONFIDENT
    assert temperatures.ratios(model, model, 200, draws=5).worst < 0.7


@pytest.mark.parametrize("by", ["all", "class"])
def test_sets_keep_their_coverage_on_fresh_rows(by: By) -> None:
    model = Model(classes=3, margin=3.0, slope=0.5, sharpness=1.5)
    found = coverage.measure(model, 1200, 2000, by, splits=20)
    for level, each in found.items():
        assert each.found == pytest.approx(float(level), abs=coverage.MOST_OFF)
        assert each.off <= 0.3
        if by == "class":
            assert each.lowest >= float(level) - coverage.MOST_BELOW_BY_CLASS


@pytest.mark.parametrize("rows", windows.REFERENCE_ROWS)
@pytest.mark.parametrize("shape", windows.SHAPES)
def test_a_fall_of_confidence_is_told_in_the_first_window_and_none_where_there_is_none(
    shape: str, rows: int
) -> None:
    assert windows.seen(shape, rows, draws=10) == 10
    assert windows.false_alarms(shape, rows, windows=100) == 0
