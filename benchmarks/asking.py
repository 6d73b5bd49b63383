"""Shared by the benchmarks that load a server: the model, its requests, and one round of load."""

import argparse
import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.graphs import write_mlp
from benchmarks.server import Server
from serving.bench.figures import Round, summarize
from serving.bench.load import LoadTarget, drive
from serving.bench.request import build_target, random_bodies, read_metadata
from serving.bench.values import Load

TIMEOUT_S = 30.0


def add_model(parser: argparse.ArgumentParser) -> None:
    """Flags for another model than the benchmark's own."""
    parser.add_argument("--models", type=Path, help="a folder of models; default: a seeded graph made here")
    parser.add_argument("--model", default="mlp", help="the model that is asked")


@contextmanager
def models_folder(given: Path | None, name: str, widths: Sequence[int]) -> Iterator[Path]:
    """The folder given, or one with a perceptron of these widths."""
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as scratch:
        write_mlp(Path(scratch), name, widths)
        yield Path(scratch)


def infer_target(server: Server, model: str, *, binary: bool) -> LoadTarget:
    """Requests for one row of a model, from its metadata."""
    metadata = read_metadata(server.url, model, TIMEOUT_S)
    bodies = random_bodies(metadata, 1, {}, binary=binary)
    return build_target(server.url, f"/v2/models/{model}/infer", bodies, {})


def load(
    target: LoadTarget, shape: Load, seconds: float, limit_ms: float | None = None, seed: int = 0
) -> Round:
    """One round."""
    return asyncio.run(loaded(target, shape, seconds, limit_ms, seed))


async def loaded(
    target: LoadTarget, shape: Load, seconds: float, limit_ms: float | None = None, seed: int = 0
) -> Round:
    """The same within a loop."""
    return summarize(await drive(target, shape, seconds, TIMEOUT_S, seed), limit_ms)
