"""The ceiling of a server: `session.run` alone, at its best combination of batch, threads and concurrent runs.

`python -m benchmarks.bare MODEL.onnx ROW.npy` prints that combination; then it reads seconds, one number a line,
and prints the rows a second that it ran for so long. With `--served` at the end the graph is optimised as Baton does
it, without the fusions that are slower; else as ONNX Runtime does by itself.
"""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from inference.manifest import TensorSpec
from inference.runtime.machine import available_cpus
from inference.runtime.session import SLOWER_ON_CPU
from inference.values import Array

SERVED = "--served"
_PROBE_S = 0.3
_BATCHES = (1, 2, 4, 8, 16, 32)
_LONGEST_S = 1.0  # a batch that takes longer than this is the last one tried


@dataclass(frozen=True, slots=True)
class Combination:
    """How a model is run: `runs` at once, each of `batch` rows on `threads` threads."""

    batch: int
    threads: int
    runs: int

    def __str__(self) -> str:
        return f"batch {self.batch}, {self.threads} threads, {self.runs} at once"


class Bare:
    """A model, and one row of input; `served`: its graph is optimised as Baton does it."""

    def __init__(self, model: Path, row: np.ndarray, *, served: bool = False) -> None:
        self._row = row
        without = SLOWER_ON_CPU if served else ()
        self._sessions = {threads: session(model, threads, without) for threads in {1, available_cpus()}}

    def rows_per_s(self, how: Combination, seconds: float) -> float:
        """Rows a second over at least one run of each thread."""
        session = self._sessions[how.threads]
        feed = {session.get_inputs()[0].name: np.repeat(self._row, how.batch, 0)}
        return how.batch * runs_per_s(lambda: session.run(None, feed), how.runs, seconds)

    def best(self) -> Combination:
        """The combination with the most rows a second, each tried once."""
        cores = available_cpus()
        found: dict[Combination, float] = {}
        for threads, runs in {(1, 1), (1, cores), (cores, 1), (cores, cores)}:
            for batch in _BATCHES:
                how = Combination(batch, threads, runs)
                self.rows_per_s(how, 0)
                found[how] = self.rows_per_s(how, _PROBE_S)
                if batch * runs / found[how] > _LONGEST_S:
                    break
        return max(found, key=lambda how: found[how])


def runs_per_s(run: Callable[[], object], at_once: int, seconds: float) -> float:
    """Runs a second of `at_once` threads, each with one run after the other, at least one."""

    def work() -> int:
        done = 0
        while not done or time.perf_counter() < until:
            run()
            done += 1
        return done

    began = time.perf_counter()
    until = began + seconds
    with ThreadPoolExecutor(at_once) as pool:
        done = sum(future.result() for future in [pool.submit(work) for _ in range(at_once)])
    return done / (time.perf_counter() - began)


def example_row(spec: TensorSpec) -> Array:
    """A row that a graph takes, of small whole numbers, so that a text model knows every word."""
    row: Array = np.random.default_rng(11).integers(0, 100, (1, *spec.shape[1:])).astype(spec.datatype.dtype)
    return row


def session(model: Path, threads: int, without: Sequence[str] = ()) -> ort.InferenceSession:
    """ONNX Runtime as it is by itself on a CPU, `without` some of its optimisers."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return ort.InferenceSession(
        str(model), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(without)
    )


def main() -> int:
    """Find the best, then run on demand."""
    bare = Bare(Path(sys.argv[1]), np.load(sys.argv[2]), served=sys.argv[3:] == [SERVED])
    best = bare.best()
    print(best, flush=True)
    for line in sys.stdin:
        print(bare.rows_per_s(best, float(line)), flush=True)
    return 0


if __name__ == "__main__":
    ort.set_default_logger_severity(3)
    sys.exit(main())
