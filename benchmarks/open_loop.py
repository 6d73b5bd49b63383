"""Baton and Triton in open loop, by `baton bench`: the latency of arrivals that no server's slowness holds back."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.result import Curve, Plot, shown, write
from benchmarks.turns import Peer
from serving.bench.figures import Interval, Round, over_rounds
from serving.bench.result import Result as BenchResult
from serving.bench.result import Series

SHARES = (0.5, 0.7, 0.9)

Opened = tuple[str, tuple[str, ...], BenchResult]
"""The model, the labels of the servers, and their result of `baton bench`."""


def drive_open(pair: Sequence[Peer], model: str, rounds: int) -> Opened:
    """Both at shares of the slower one's saturation, and at the highest share of the faster one's."""
    with ExitStack() as stack:
        for peer in pair:
            stack.enter_context(peer.awake())
        saturated = [series.answers_per_s.median for series in _bench(pair, model, "--rounds", "3").series]
        rates = [share * min(saturated) for share in SHARES]
        if max(saturated) > 1.05 * min(saturated):
            rates.append(SHARES[-1] * max(saturated))
        asked = ",".join(f"{rate:.4g}" for rate in rates)
        found = _bench(pair, model, "--rate", asked, "--rounds", str(rounds))
    return model, tuple(peer.label for peer in pair), found


def _bench(pair: Sequence[Peer], model: str, *flags: str) -> BenchResult:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "bench.json"
        command = [sys.executable, "-m", "baton", "bench", *(peer.url for peer in pair), "--model", model,
                   "--connections", "64", "--duration", "1", "--json", str(file), *flags]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return BenchResult.model_validate(json.loads(file.read_text()))


def write_open(out: Path, opened: Sequence[Opened]) -> int:
    rows: list[tuple[str, ...]] = []
    curves: list[Curve] = []
    for model, labels, found in opened:
        for place, name in enumerate(labels):
            mine = [series for series in found.series if series.server == place]
            rows += [
                (f"{model}, {name}", f"{series.rate:.0f}", shown(series.answers_per_s, "{:.0f}"),
                 shown(series.p50_ms), shown(series.p99_ms), str(_unanswered(series)),
                 f"{over_rounds(series.rounds, _generator_cpu).median:.2f}")
                for series in mine
            ]  # fmt: skip
            for panel, figure in (("p50, ms", _series_p50), ("p99, ms", _series_p99)):
                curves.append(
                    Curve(panel=f"{model}: {panel}", label=name, x=tuple(series.rate or 0 for series in mine),
                          y=tuple(figure(series) for series in mine))
                )  # fmt: skip
    order = list(dict.fromkeys(curve.panel for curve in curves))
    curves.sort(key=lambda curve: order.index(curve.panel))
    columns = (
        "server",
        "arrivals/s",
        "answers/s",
        "p50 ms",
        "p99 ms",
        "not answered with 200",
        "generator, cores",
    )
    shares = ", ".join(f"{share:.0%}" for share in SHARES)
    note = (
        f"Arrivals are {shares} of what the slower server of the two answers in closed loop to the same generator, "
        f"and {SHARES[-1]:.0%} of what the faster one does."
    )
    return write(out, columns, rows, [], [note], Plot(x="arrivals a second", curves=tuple(curves)))


def _series_p50(series: Series) -> Interval:
    return series.p50_ms


def _series_p99(series: Series) -> Interval:
    return series.p99_ms


def _generator_cpu(each: Round) -> float:
    return each.generator_cpu


def _unanswered(series: Series) -> int:
    return sum(n for each in series.rounds for name, n in each.outcomes.items() if name != "200")
