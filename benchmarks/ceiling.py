"""Served throughput by turns with bare `session.run` at its best combination of batch, threads and concurrent runs."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import onnxruntime as ort

from benchmarks.asking import infer_target, load
from benchmarks.bare import Bare, example_row
from benchmarks.graphs import WRITERS
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import serving
from inference.runtime.session import OrtSession
from serving.bench.figures import Round, interval, over_rounds
from serving.bench.values import Closed

LEAST_SHARE, MOST_SPREAD = 0.9, 2.0


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("ceiling", __doc__)
    cli.add_argument("--graphs", default="text,resnet50", help=f"of {', '.join(WRITERS)}")
    cli.add_argument("--connections", default="16,64")
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--seconds", type=float, default=2.0, help="of each side in each round")
    given = cli.parse_args()
    rows: list[tuple[str, ...]] = []
    claims: list[Claim] = []
    for name in given.graphs.split(","):
        for more_rows, more_claims in _measure(name, given):
            rows += more_rows
            claims += more_claims
    return write(given.out, ("graph and load", "rows/s", "share of bare", "mean ms", "p99 ms"), rows, claims)


def _measure(name: str, given: argparse.Namespace) -> Iterator[tuple[list[tuple[str, ...]], list[Claim]]]:
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch)
        WRITERS[name](models)
        graph = next((models / name).rglob("model.onnx"))
        (spec,) = OrtSession(graph, graph.parent).inputs
        bare = Bare(graph, example_row(spec))
        with serving(models) as server:
            target = infer_target(server, name, binary=name == "resnet50")
            best = bare.best()
            for connections in map(int, given.connections.split(",")):
                alone: list[float] = []
                served: list[Round] = []
                load(target, Closed(connections), given.seconds)
                for _ in range(given.rounds):
                    alone.append(bare.rows_per_s(best, given.seconds))
                    served.append(load(target, Closed(connections), given.seconds))
                yield _compared(f"{name}, {connections} connections", str(best), alone, served)


def _compared(
    text: str, best: str, alone: list[float], served: list[Round]
) -> tuple[list[tuple[str, ...]], list[Claim]]:
    share = interval([ours.rate / theirs for ours, theirs in zip(served, alone, strict=True)])
    spread = interval([each.latency_ms.p99 / each.latency_ms.mean for each in served if each.latency_ms.mean])
    others = sum(n for each in served for outcome, n in each.outcomes.items() if outcome != "200")
    rows: list[tuple[str, ...]] = [
        (f"{text}: bare, {best}", shown(interval(alone), "{:.0f}"), "1", "", ""),
        (
            f"{text}: served",
            shown(over_rounds(served, lambda each: each.rate), "{:.0f}"),
            shown(share),
            shown(over_rounds(served, lambda each: each.latency_ms.mean), "{:.1f}"),
            shown(over_rounds(served, lambda each: each.latency_ms.p99), "{:.1f}"),
        ),
    ]
    claims = [
        Claim(text=f"{text}: share of bare", expected=f"at least {LEAST_SHARE}", actual=shown(share),
              kept=share.median >= LEAST_SHARE),
        Claim(text=f"{text}: p99 over mean", expected=f"at most {MOST_SPREAD:g}", actual=shown(spread),
              kept=spread.median <= MOST_SPREAD),
        Claim(text=f"{text}: other outcomes than 200", expected="0", actual=str(others), kept=others == 0),
    ]  # fmt: skip
    return rows, claims


if __name__ == "__main__":
    ort.set_default_logger_severity(3)
    sys.exit(main())
