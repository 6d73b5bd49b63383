"""Temperatures, prediction sets and drift of confidence, on draws of known models and on shipped bundles.

Without `BATON_DATA` the bundles are left out.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.calibration import coverage, temperatures, windows
from benchmarks.calibration.coverage import MOST_BELOW_BY_CLASS, MOST_OFF, SPLITS, Coverage
from benchmarks.calibration.draws import Draw, Model
from benchmarks.calibration.recorded import record
from benchmarks.result import Claim, parser, write
from serving.engine.drift import FALSE_ALARM_RATE
from training.evaluate.conformal import By

Lines = list[tuple[str, str, str, str]]

DIVIDED, SMALL = 2000, 400
"""Rows of validation: half of them set apart, and too few for that."""

FRESH_ROWS = 5000

TEN_CLASSES = Model(classes=10, margin=6.0, slope=0.2, sharpness=1.5)
TWO_CLASSES = Model(classes=2, margin=3.0, sharpness=0.7)
BUNDLES = {"fashion": 5000, "reviews": 2500}
"""Rows that calibrate, about as many as the bundle's own validation has."""


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("calibration", __doc__)
    cli.add_argument("--models", type=Path, default=Path("models"))
    cli.add_argument("--splits", type=int, default=SPLITS)
    given = cli.parse_args()
    torch.set_num_threads(1)
    lines: Lines = []
    claims = [*_temperatures(lines), *_sets(lines, given.models, given.splits), *_windows(lines)]
    return write(given.out, ("of", "mean or median", "worst or lowest", "besides"), lines, claims)


def _temperatures(lines: Lines) -> Iterator[Claim]:
    worst = {"a perfect validation": 0.0, "any validation": 0.0}
    model = temperatures.CALIBRATED
    for rows in temperatures.SIZES:
        for name, draw in (("a perfect validation", model.without_mistakes), ("any validation", model)):
            found = temperatures.ratios(model, draw, rows)
            worst[name] = max(worst[name], found.worst)
            lines.append(
                (
                    f"NLL by temperature over that without, calibrated model, {name} of {rows} rows",
                    f"{found.median:.3f}",
                    f"{found.worst:.3f}",
                    f"{found.moved} of {temperatures.DRAWS} took another than 1",
                )
            )
    sure = temperatures.OVERCONFIDENT
    for rows in temperatures.SIZES:
        found = temperatures.ratios(sure, sure, rows)
        lines.append(
            (
                f"the same, logits three times too large, {rows} rows",
                f"{found.median:.3f}",
                f"{found.worst:.3f}",
                f"{found.moved} of {temperatures.DRAWS} took another than 1",
            )
        )
    for name, ratio in worst.items():
        yield Claim(
            text=f"calibrated model, {name}: NLL over that of T = 1 in the worst of {temperatures.DRAWS} draws",
            expected=f"at most {temperatures.MOST_RATIO}",
            actual=f"{ratio:.3f}",
            kept=ratio <= temperatures.MOST_RATIO,
        )


def _sets(lines: Lines, models: Path, splits: int) -> Iterator[Claim]:
    cases: list[tuple[str, Draw, int]] = [
        ("ten classes", TEN_CLASSES, DIVIDED),
        ("two classes", TWO_CLASSES, DIVIDED),
        ("ten classes", TEN_CLASSES, SMALL),
    ]
    if os.environ.get("BATON_DATA"):
        cases += [(name, record(models, name), rows) for name, rows in BUNDLES.items()]
    ways: tuple[By, ...] = ("all", "class")
    for name, draw, rows in cases:
        for by in ways:
            found = coverage.measure(draw, rows, FRESH_ROWS, by, splits)
            for level, each in found.items():
                lines.append(_line(f"{name}, {rows} rows, by {by}, coverage {level}", each))
            yield from _kept(
                f"{name}, {rows} rows, by {by}", found, by, wider=by == "class" and rows == SMALL
            )


def _line(name: str, found: Coverage) -> tuple[str, str, str, str]:
    besides = (
        f"{found.size:.2f} labels, standard error {found.error:.4f}, {found.off:.0%} of splits off by two"
    )
    return name, f"{found.found:.4f}", f"{found.lowest:.4f}", besides


def _kept(name: str, found: dict[str, Coverage], by: By, *, wider: bool) -> Iterator[Claim]:
    """wider: classes of few rows may have sets above the level, and none below."""
    off = {level: each.found - float(level) for level, each in found.items()}
    least, most = min(off.values()), max(off.values())
    yield Claim(
        text=f"{name}: mean coverage over the splits, from the level asked for",
        expected=f"at least −{MOST_OFF}" if wider else f"within {MOST_OFF}",
        actual=f"{least:+.4f} to {most:+.4f}",
        kept=least >= -MOST_OFF and (wider or most <= MOST_OFF),
    )
    if by == "class":
        below = max(float(level) - each.lowest for level, each in found.items())
        yield Claim(
            text=f"{name}: the lowest class, below the level",
            expected=f"at most {MOST_BELOW_BY_CLASS}",
            actual=f"{below:.4f}",
            kept=below <= MOST_BELOW_BY_CLASS,
        )


def _windows(lines: Lines) -> Iterator[Claim]:
    most, least = 0, temperatures.DRAWS
    for shape in windows.SHAPES:
        for rows in windows.REFERENCE_ROWS:
            alarms, seen = windows.false_alarms(shape, rows), windows.seen(shape, rows)
            most, least = max(most, alarms), min(least, seen)
            lines.append(
                (
                    f"confidence {shape}, reference of {rows} rows",
                    f"{alarms} false alarms in {windows.WINDOWS}",
                    f"{seen} of {temperatures.DRAWS} falls",
                    f"from 0.99 to {windows.FALLEN}, in the first window",
                )
            )
    allowed = FALSE_ALARM_RATE * windows.WINDOWS
    yield Claim(
        text=f"false alarms of confidence in {windows.WINDOWS} windows without drift, of any shape",
        expected=f"at most {allowed:g}",
        actual=str(most),
        kept=most <= allowed,
    )
    yield Claim(
        text=f"falls of the mean confidence from 0.99 to {windows.FALLEN} told in the first window",
        expected=f"{temperatures.DRAWS} of {temperatures.DRAWS}",
        actual=f"{least} of {temperatures.DRAWS}",
        kept=least == temperatures.DRAWS,
    )


if __name__ == "__main__":
    sys.exit(main())
