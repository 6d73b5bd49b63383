"""The plot of a benchmark: latency over the rate of arrivals, or of answers in closed loop.

matplotlib comes with `baton[training]`.
"""

import importlib
from pathlib import Path
from typing import Any

from serving.bench.result import Result
from serving.bench.values import BenchError


def draw(result: Result, file: Path) -> None:
    """Write the plot; `BenchError` without matplotlib, or for a suffix that it cannot write."""
    try:
        importlib.import_module("matplotlib").use("Agg")
        pyplot: Any = importlib.import_module("matplotlib.pyplot")
    except ImportError:
        raise BenchError("no plot: matplotlib is not installed; pip install 'baton[training]'") from None
    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    for number, server in enumerate(result.servers):
        points = _points(result, number)
        label = server.name or server.url
        for quantile, style in (("p50", ":"), ("p99", "-")):
            line = [(rate, latency[quantile]) for rate, latency in points]
            axes.plot(
                *zip(*line, strict=True), style, marker="o", color=f"C{number}", label=f"{label} {quantile}"
            )
    if result.limit_ms is not None:
        axes.axhline(result.limit_ms, color="grey", linewidth=1, label="limit")
    opened = result.saturation or any(series.rate for series in result.series)
    axes.set(
        xlabel="arrivals a second" if opened else "answers a second",
        ylabel="latency, ms",
        yscale="log",
        title=f"POST {result.asked}",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    try:
        figure.savefig(file, dpi=120)
    except (OSError, ValueError) as error:
        raise BenchError(f"no plot: {error}") from None
    finally:
        pyplot.close(figure)


def _points(result: Result, server: int) -> list[tuple[float, dict[str, float]]]:
    """A server's rates with their latencies, lowest rate first."""
    rounds = [
        (
            series.rate or series.answers_per_s.median,
            {"p50": series.p50_ms.median, "p99": series.p99_ms.median},
        )
        for series in result.series
        if series.server == server
    ] + [
        (probe.rate, probe.round.latency_ms.model_dump())
        for found in result.saturation
        if found.server == server
        for probe in found.probes
    ]
    return sorted(rounds, key=lambda point: point[0])
