"""Draws the plots of results; matplotlib comes with `baton[training]`."""

import importlib
import io
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.result import Curve, Grid, Plot

_STYLES = {"baton:1": ("C0", "-"), "baton:2": ("C0", "--"), "triton:1": ("C1", "-"), "triton:2": ("C1", "--"),
           "session.run": ("black", ":")}  # fmt: skip
_COLOURS = ("C2", "C3", "C4", "C5", "C6", "C7", "C8", "C9", "gold", "navy", "teal")
_MARKERS = "svD^<>pPX*h"


def draw(plot: Plot, file: Path) -> None:
    """Both axes are logarithmic unless the plot is linear; the bars are the 95 % intervals."""
    importlib.import_module("matplotlib").use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    ticker: Any = importlib.import_module("matplotlib.ticker")
    panels = plot.panels
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.2 * len(panels) + 1.4, 4.2), layout="constrained", squeeze=False
    )
    others = dict.fromkeys(curve.label for curve in plot.curves if curve.label not in _STYLES)
    order = {label: place for place, label in enumerate(others)}
    for axis, panel in zip(axes[0], panels, strict=True):
        for curve in (each for each in plot.curves if each.panel == panel):
            _line(axis, curve, order.get(curve.label))
        axis.set(title=panel, xlabel=plot.x)
        if plot.linear:
            axis.set(xlim=(0, None), ylim=(0, None))
        else:
            _logarithmic(axis, ticker, {x for curve in plot.curves if curve.panel == panel for x in curve.x})
        axis.grid(alpha=0.3)
    handles: dict[str, Any] = {}
    for axis in axes[0]:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False)
    _save(figure, file)
    pyplot.close(figure)


def _logarithmic(axis: Any, ticker: Any, places: set[float]) -> None:
    ticks = sorted(places)
    axis.set(xscale="log", yscale="log")
    axis.set_xticks(ticks, [f"{x:g}" for x in ticks])
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.minorticks_off()


def draw_grid(grid: Grid, file: Path) -> None:
    """A panel a version and a row an area. A case that failed is a light cell with a cross, for all eyes."""
    importlib.import_module("matplotlib").use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    areas = list(dict.fromkeys(grid.rows))
    widest = max(grid.rows.count(area) for area in areas)
    figure, axes = pyplot.subplots(
        1, len(grid.columns), sharey=True, squeeze=False, layout="constrained",
        figsize=(1.2 + 0.36 * widest * len(grid.columns), 0.9 + 0.36 * len(areas)),
    )  # fmt: skip
    for axis, (version, outcomes) in zip(axes[0], grid.columns.items(), strict=True):
        places = dict.fromkeys(areas, 0)
        for number, (area, held) in enumerate(zip(grid.rows, outcomes, strict=True), start=1):
            _cell(pyplot, axis, places[area], areas.index(area), number, held=held)
            places[area] += 1
        axis.set(xlim=(-0.6, widest - 0.4), ylim=(len(areas) - 0.4, -0.6), aspect="equal",
                 title=f"{version}: {sum(outcomes)} of {len(outcomes)} held")  # fmt: skip
        axis.set_yticks(range(len(areas)), areas)
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    figure.supxlabel("dark: held; light with a cross: failed; the numbers are the table's", fontsize=9)
    _save(figure, file)
    pyplot.close(figure)


def _cell(pyplot: Any, axis: Any, x: int, y: int, number: int, *, held: bool) -> None:
    face, ink = ("#1f4e79", "white") if held else ("#fbe3d6", "#7a2e0e")
    axis.add_patch(
        pyplot.Rectangle((x - 0.44, y - 0.44), 0.88, 0.88, facecolor=face, edgecolor=ink, linewidth=0.8)
    )
    if not held:
        axis.plot([x - 0.4, x + 0.4, None, x - 0.4, x + 0.4], [y - 0.4, y + 0.4, None, y + 0.4, y - 0.4],
                  color=ink, linewidth=1.0, alpha=0.55)  # fmt: skip
    axis.text(x, y, str(number), ha="center", va="center", fontsize=7, color=ink, weight="bold")


def _save(figure: Any, file: Path) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    # 64 colours take a quarter of the bytes, and look the same.
    Image.open(drawn).convert("RGB").quantize(64).save(file, optimize=True)


def _line(axis: Any, curve: Curve, place: int | None) -> None:
    middle = [each.median for each in curve.y]
    low = [each.median - (each.median if each.low is None else each.low) for each in curve.y]
    high = [(each.median if each.high is None else each.high) - each.median for each in curve.y]
    colour, line = _STYLES.get(curve.label, (_COLOURS[(place or 0) % len(_COLOURS)], "-"))
    axis.errorbar(
        curve.x, middle, yerr=[low, high], color=colour, linestyle=line, capsize=2, label=curve.label,
        linewidth=1.0 if place is not None else 2.2, marker="o" if place is None else _MARKERS[place % len(_MARKERS)],
        markersize=5,
    )  # fmt: skip
