"""Pictures of a run, for the card and for the eye; drawn without a display."""

import csv
from collections import defaultdict
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Points = list[tuple[float, float]]

TRAIN_COLOUR, VALIDATION_COLOUR, GRID_COLOUR = "#9aa7b8", "#0b62c4", "#e3e7ee"
SIZE_INCHES, DOTS_PER_INCH = (9.0, 3.6), 120


def learning_curves(logs: Path, target: Path, metric: str) -> None:
    """Training and validation loss on the left, the validation metric on the right, over steps."""
    curves = read_curves(logs)
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    left, right = figure.subplots(1, 2)
    _line(left, curves["train/loss"], TRAIN_COLOUR, "train")
    _line(left, curves["val/loss"], VALIDATION_COLOUR, "validation")
    _line(right, curves[metric], VALIDATION_COLOUR, "validation")
    for axes, title in ((left, "loss"), (right, metric.removeprefix("val/").replace("_", " "))):
        _style(axes, title)
    _mark_best(right, curves[metric])
    figure.savefig(target)


def read_curves(logs: Path) -> dict[str, Points]:
    """Points (step, value) by column, over all attempts of the run; the latest attempt wins a step."""
    found: dict[str, dict[float, float]] = defaultdict(dict)
    attempts = (logs / "csv").glob("version_*/metrics.csv")
    for path in sorted(attempts, key=lambda path: int(path.parent.name.removeprefix("version_"))):
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream):
                step = float(row.pop("step"))
                for column, value in row.items():
                    if value:
                        found[column][step] = float(value)
    return defaultdict(list, {column: sorted(points.items()) for column, points in found.items()})


def _line(axes: Axes, points: Points, colour: str, label: str) -> None:
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=colour, label=label, linewidth=1.6)


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("step")
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)


def _mark_best(axes: Axes, points: Points) -> None:
    if points:
        step, value = max(points, key=lambda point: point[1])
        axes.plot(step, value, "o", color=VALIDATION_COLOUR)
        axes.annotate(f"{value:.4f}", (step, value), textcoords="offset points", xytext=(0, -14), ha="center")
