"""Plots of a run, for the card; drawn without a display."""

import csv
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.evaluate.metrics import ReliabilityBin

Points = list[tuple[float, float]]

TRAIN_COLOUR, VALIDATION_COLOUR, GRID_COLOUR = "#9aa7b8", "#0b62c4", "#e3e7ee"
MOST_CLASSES_WRITTEN = 30
"""In a confusion matrix: with more, the counts overlap."""
SIZE_INCHES, DOTS_PER_INCH = (9.0, 3.6), 120


def learning_curves(logs: Path, target: Path, metric: str, mode: str) -> None:
    """Training and validation loss on the left, the validation metric on the right, over steps."""
    curves = read_curves(logs)
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    left, right = figure.subplots(1, 2)
    _line(left, curves["train/loss"], TRAIN_COLOUR, "train")
    _line(left, curves["val/loss"], VALIDATION_COLOUR, "validation")
    _line(right, curves[metric], VALIDATION_COLOUR, "validation")
    for axes, title in ((left, "loss"), (right, metric.removeprefix("val/").replace("_", " "))):
        _style(axes, title)
        axes.set_xlabel("step")
    _mark_best(right, curves[metric], max if mode == "max" else min)
    figure.savefig(target)


def rate_curve(points: Points, suggestion: float, target: Path) -> None:
    """The averaged loss over the learning rate, and the suggested rate."""
    figure = Figure(figsize=(4.6, 3.6), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    _line(axes, points, VALIDATION_COLOUR, "train, averaged")
    axes.axvline(suggestion, color=TRAIN_COLOUR, linestyle="--", label=f"steepest at {suggestion:.2g}")
    axes.set_xscale("log")
    # The end of the sweep is meant to diverge, and would flatten what lies before it.
    losses = [loss for _, loss in points]
    lowest = losses.index(min(losses))
    axes.set_ylim(top=max(losses[: lowest + 1]) + 0.1 * (max(losses[: lowest + 1]) - min(losses)))
    _style(axes, "loss by learning rate")
    axes.set_xlabel("learning rate")
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


def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str], target: Path) -> None:
    """Rows are the truth, columns the guess; shaded by the share of the row, so that rare classes show too."""
    shares = [[count / max(1, sum(row)) for count in row] for row in counts]
    side = 2.2 + 0.46 * len(classes)
    figure = Figure(figsize=(side, side), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(classes)), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("guess")
    axes.set_ylabel("truth")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(classes) <= MOST_CLASSES_WRITTEN:
        for y, row in enumerate(counts):
            for x, count in enumerate(row):
                colour = "white" if shares[y][x] > 0.5 else "#33415c" if count else "#c3ccd9"
                axes.text(x, y, str(count), ha="center", va="center", fontsize=8, color=colour)
    figure.savefig(target)


def reliability_diagram(curves: Mapping[str, Sequence[ReliabilityBin]], target: Path) -> None:
    """Accuracy over confidence, before and after calibration; the area of a point is its rows."""
    figure = Figure(figsize=(4.6, 4.4), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GRID_COLOUR, linewidth=1.5)
    for (label, bins), colour in zip(curves.items(), (TRAIN_COLOUR, VALIDATION_COLOUR), strict=False):
        rows = sum(found.rows for found in bins)
        xs, ys = [found.confidence for found in bins], [found.accuracy for found in bins]
        axes.plot(xs, ys, color=colour, label=label, linewidth=1.4)
        axes.scatter(xs, ys, [8 + 240 * found.rows / rows for found in bins], color=colour, alpha=0.75)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    _style(axes, "accuracy by confidence")
    axes.set_xlabel("confidence")
    figure.savefig(target)


def _line(axes: Axes, points: Points, colour: str, label: str) -> None:
    if points:
        steps, values = zip(*points, strict=True)
        axes.plot(steps, values, color=colour, label=label, linewidth=1.6)


def _style(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=9)


def _mark_best(axes: Axes, points: Points, best: Callable[..., tuple[float, float]]) -> None:
    if points:
        step, value = best(points, key=lambda point: point[1])
        axes.plot(step, value, "o", color=VALIDATION_COLOUR)
        axes.annotate(f"{value:.4f}", (step, value), textcoords="offset points", xytext=(0, -14), ha="center")
