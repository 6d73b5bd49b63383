"""The time of a request beyond `session.run`: one connection, binary tensor, by turns with the bare session."""

import sys
import time

import numpy as np
import onnxruntime as ort

from benchmarks.asking import add_model, infer_target, load, models_folder
from benchmarks.graphs import TINY
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import serving
from inference.runtime.session import OrtSession, SessionOptions
from serving.bench.figures import interval
from serving.bench.values import Closed

MOST_MS = 0.3


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    cli = parser("overhead", __doc__)
    add_model(cli)
    cli.add_argument("--rounds", type=int, default=9)
    cli.add_argument("--seconds", type=float, default=2.0, help="of each side in each round")
    given = cli.parse_args()
    bare: list[float] = []
    served: list[float] = []
    with models_folder(given.models, given.model, TINY) as models, serving(models) as server:
        graph = next((models / given.model).rglob("model.onnx"))
        session = OrtSession(graph, graph.parent, SessionOptions(threads=1))
        target = infer_target(server, given.model, binary=True)
        load(target, Closed(1), given.seconds)
        for _ in range(given.rounds):
            bare.append(_median_run_ms(session, given.seconds))
            served.append(load(target, Closed(1), given.seconds).latency_ms.p50)
    added = interval([ours - theirs for ours, theirs in zip(served, bare, strict=True)])
    rows = [
        ("bare session.run", shown(interval(bare), "{:.3f}")),
        ("request", shown(interval(served), "{:.3f}")),
        ("added", shown(added, "{:.3f}")),
    ]
    claim = Claim(
        text="added latency at the median, one connection, binary tensor",
        expected=f"under {MOST_MS} ms",
        actual=f"{added.median:.3f} ms",
        kept=added.median < MOST_MS,
    )
    return write(given.out, ("median of rounds", "p50 ms"), rows, [claim])


def _median_run_ms(session: OrtSession, seconds: float) -> float:
    feed = {
        spec.name: np.zeros([max(1, axis) for axis in spec.shape], spec.datatype.dtype)
        for spec in session.inputs
    }
    took: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        session.run(feed)
        took.append((time.perf_counter() - start) * 1e3)
    return float(np.median(took))


if __name__ == "__main__":
    ort.set_default_logger_severity(3)
    sys.exit(main())
