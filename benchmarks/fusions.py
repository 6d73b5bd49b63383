"""Nodes that ONNX Runtime fuses on a CPU beside the same apart, by turns: the reason why Baton leaves some out.

A row is Add → LayerNormalization over float [rows, 64, width], or the whole of `text`.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper

from benchmarks.bare import session
from benchmarks.graphs import Builder, write_text
from benchmarks.result import Claim, parser, shown, write
from inference.runtime.session import SLOWER_ON_CPU
from inference.values import Array
from serving.bench.figures import interval

_LENGTH = 64
_ROUND_S = 0.05


def main() -> int:
    """Measure, write, and say whether leaving them out is right everywhere."""
    cli = parser("fusions", __doc__)
    cli.add_argument("--widths", type=lambda text: [int(each) for each in text.split(",")],
                      default=[64, 128, 384, 768, 1024])  # fmt: skip
    cli.add_argument("--rounds", type=int, default=7)
    given = cli.parse_args()
    ort.set_default_logger_severity(3)
    rows: list[tuple[str, ...]] = []
    lowest = float("inf")
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch)
        for width in given.widths:
            _write_skip(models, width)
        write_text(models)
        for name in (*(f"skip{width}" for width in given.widths), "text"):
            for threads, batch in ((1, 1), (1, 8), (2, 8)):
                row, ratio = _measure(models / name / "1/model.onnx", name, threads, batch, given.rounds)
                rows.append(row)
                lowest = min(lowest, ratio)
    claim = Claim(text="fused over apart, the lowest of all", expected="at least 1", actual=f"{lowest:.2f}",
                  kept=lowest >= 1)  # fmt: skip
    columns = ("graph, threads, rows", "fused, µs", "apart, µs", "fused over apart")
    return write(given.out, columns, rows, [claim])


def _write_skip(models: Path, width: int) -> None:
    builder = Builder()
    added = builder.op("Add", "x", builder.op("Relu", "x"))
    scale, bias = builder.constant("g", np.ones(width)), builder.constant("c", np.zeros(width))
    builder.op("LayerNormalization", added, scale, bias, axis=-1, to="y")
    shape: list[int | str] = ["batch", _LENGTH, width]
    builder.write(models, f"skip{width}", helper.make_tensor_value_info("x", TensorProto.FLOAT, shape), shape)


def _measure(graph: Path, name: str, threads: int, batch: int, rounds: int) -> tuple[tuple[str, ...], float]:
    sessions = [session(graph, threads, without) for without in ((), SLOWER_ON_CPU)]
    (spec,) = sessions[0].get_inputs()
    given = np.random.default_rng(5).integers(0, 100, (batch, *spec.shape[1:]))
    tensors = {spec.name: given.astype(np.int64 if spec.type == "tensor(int64)" else np.float32)}
    took: list[list[float]] = [[], []]
    for _ in range(rounds):
        for each, seconds in zip(sessions, took, strict=True):
            seconds.append(_run_s(each, tensors))
    ratio = interval([fused / apart for fused, apart in zip(*took, strict=True)])
    times = (shown(interval([1e6 * s for s in seconds]), "{:.0f}") for seconds in took)
    return (f"{name}, {threads}, {batch}", *times, shown(ratio)), ratio.median


def _run_s(loaded: ort.InferenceSession, tensors: dict[str, Array]) -> float:
    """Seconds of one run, the mean over a round."""
    began, runs = time.perf_counter(), 0
    while time.perf_counter() < began + _ROUND_S:
        loaded.run(None, tensors)
        runs += 1
    return (time.perf_counter() - began) / runs


if __name__ == "__main__":
    sys.exit(main())
