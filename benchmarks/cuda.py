"""The server on a GPU, beside `session.run` there and beside itself on the same machine's processors.

`session.run` is driven with arrays as they come, and bound to the pinned buffers that the server keeps, each at
its best combination of batch and concurrent runs. `wrk` asks for one row at a time, in JSON (`text`) or binary
(`resnet50`). It ends with status 2 where CUDA does not start.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from benchmarks.asking import TIMEOUT_S
from benchmarks.bare import example_row, runs_per_s
from benchmarks.graphs import WRITERS
from benchmarks.result import parser, shown, write
from benchmarks.server import Server, serving
from benchmarks.wrk import WrkResult, drive
from inference.errors import ProviderUnavailable
from inference.runtime.providers import CUDA, provider_list
from inference.runtime.session import OrtSession, Runs, SessionOptions
from inference.values import Tensors
from serving.bench.figures import interval
from serving.bench.request import fetch, random_bodies, read_metadata

BATCHES, AT_ONCE = (1, 4, 16, 64), (1, 2, 4)
_PROBE_S = 0.2


class How(NamedTuple):
    """A combination of rows and runs at once."""

    batch: int
    runs: int

    def __str__(self) -> str:
        return f"batch {self.batch}, {self.runs} at once"


class Plain:
    """`session.run` with arrays as they come."""

    def __init__(self, model: Path) -> None:
        self._session = ort.InferenceSession(str(model), providers=provider_list(CUDA, {}))
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, tensors: Tensors) -> Tensors:
        """Every output by name."""
        return dict(zip(self._names, self._session.run(None, tensors), strict=True))


def main() -> int:
    """Measure and write."""
    cli = parser("cuda", __doc__)
    cli.add_argument("--graphs", default="text,resnet50", help=f"of {', '.join(WRITERS)}")
    cli.add_argument("--connections", default="1,16,64,256")
    cli.add_argument("--workers", default="1,4", help="processes of each server on CUDA")
    cli.add_argument("--rounds", type=int, default=3)
    cli.add_argument("--seconds", type=int, default=2, help="of each server in each round")
    given = cli.parse_args()
    names = given.graphs.split(",")
    connections = [int(each) for each in given.connections.split(",")]
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch)
        for name in names:
            WRITERS[name](models)
            try:
                rows += _bare(name, models, given.rounds)
            except ProviderUnavailable as error:
                print(error, file=sys.stderr)
                return 2
        ways = [
            (f"CUDA, {n} workers", ("--device", "cuda", "--workers", n)) for n in given.workers.split(",")
        ]
        for label, flags in (*ways, ("CPU, 1 workers", ())):
            with serving(models, flags) as server:
                rows += _served(label, server, names, connections, given)
                notes.append(_described(label, server, names))
    rows.sort(key=lambda row: names.index(row[0].partition(":")[0]))
    return write(given.out, ("graph and load", "rows/s", "p50 ms", "p99 ms", "errors"), rows, [], notes)


def _bare(name: str, models: Path, rounds: int) -> list[tuple[str, ...]]:
    graph = next((models / name).rglob("model.onnx"))
    options = SessionOptions(threads=1, device="cuda", max_batch_size=max(BATCHES))
    bound = OrtSession(graph, graph.parent, options)
    spec = bound.inputs[0]
    feeds = {batch: {spec.name: np.repeat(example_row(spec), batch, 0)} for batch in BATCHES}
    rows: list[tuple[str, ...]] = []
    for label, session in (("session.run", Plain(graph)), ("bound, pinned buffers", bound)):
        rate = {
            how: _rate(session, feeds[how.batch], how, _PROBE_S)
            for how in (How(batch, runs) for batch in BATCHES for runs in AT_ONCE)
        }
        best = max(rate, key=lambda how: rate[how])
        for how in dict.fromkeys((How(1, 1), How(max(BATCHES), 1), best)):
            rate_s = interval([_rate(session, feeds[how.batch], how, 2 * _PROBE_S) for _ in range(rounds)])
            each_ms = 1e3 * how.batch * how.runs / rate_s.median
            rows.append((f"{name}: {label}, {how}", shown(rate_s, "{:.0f}"), f"{each_ms:.2f}", "", ""))
    return rows


def _rate(session: Runs, feed: Tensors, how: How, seconds: float) -> float:
    """Rows a second, after runs that are not counted."""
    run = partial(session.run, feed)
    runs_per_s(run, how.runs, 0)
    return how.batch * runs_per_s(run, how.runs, seconds)


def _described(label: str, server: Server, names: list[str]) -> str:
    """Its memory, and the plan that it made of its measurements."""
    plans = []
    for name in names:
        plan = json.loads(fetch(server.url, "GET", f"/v2/models/{name}/profile", None, TIMEOUT_S)[1])["plan"]
        runs = "on the loop" if plan["inline"] else f"{plan['concurrent_runs']} at once"
        plans.append(f"{name} {runs} in batches of up to {plan['max_batch_size']}")
    return f"{label}: ready in {server.seconds:.1f} s with {server.rss_mib():.0f} MiB; {', '.join(plans)}."


def _served(
    label: str, server: Server, names: list[str], connections: list[int], given: argparse.Namespace
) -> list[tuple[str, ...]]:
    results: dict[tuple[str, int], list[WrkResult]] = defaultdict(list)
    for name in names:
        bodies = random_bodies(read_metadata(server.url, name, TIMEOUT_S), 1, {}, binary=name == "resnet50")
        path = f"/v2/models/{name}/infer"
        ask = partial(drive, server, path, bodies[0], threads=2, strict=False)
        ask(max(connections), 1)
        for _ in range(given.rounds):
            for number in connections:
                results[name, number].append(ask(number, given.seconds))
                print(f"{name}, {label}, {number} connections: {results[name, number][-1]}", file=sys.stderr)
    return [
        (
            f"{name}: served, {label}, {number} connections",
            shown(interval([each.rate for each in found]), "{:.0f}"),
            f"{interval([each.p50_ms for each in found]).median:.2f}",
            f"{interval([each.p99_ms for each in found]).median:.2f}",
            str(sum(each.wrong for each in found)),
        )
        for (name, number), found in results.items()
    ]


if __name__ == "__main__":
    ort.set_default_logger_severity(3)
    sys.exit(main())
