"""1. perf_analyzer over HTTP runs to the end: it asks metadata, configuration and statistics, and stops at any error.

`PERF_ANALYZER` is its path, and libcudart.so.12, which it is linked with, lies beside it: `.ci/run` fetches both.
"""

import csv
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import TensorProto

from tests.bundles import sum_graph, write_bare
from tests.deploy.tools import missing
from tests.serving.graphs import identity_graph
from tests.serving.protocol.test_columns import ids_graph
from tests.serving.servers import ThreadedServer, start

MODELS = Path(__file__).parents[3] / "models"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program() -> Path:
    named = os.environ.get("PERF_ANALYZER", "")
    if not named:
        missing(
            "PERF_ANALYZER is not set: the path of Triton's perf_analyzer, with libcudart.so.12 beside it"
        )
    return Path(named)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedServer]:
    root = tmp_path_factory.mktemp("models")
    write_bare(root, "sum", sum_graph())
    (root / "fashion").symlink_to(MODELS / "fashion")
    write_bare(root, "ids", ids_graph())
    write_bare(root, "flags", identity_graph(TensorProto.BOOL, "batch", 3))
    write_bare(root, "texts", identity_graph(TensorProto.STRING, "batch", 1))
    write_bare(root, "numbers", identity_graph(TensorProto.INT64, "batch"))
    with start(models=root) as running:
        yield running


@pytest.mark.parametrize(
    ("model", "rows", "tensors"),
    [
        ("sum", 1, "json"), ("sum", 4, "binary"), ("fashion", 1, "binary"), ("fashion", 4, "json"),
        ("ids", 1, "json"), ("ids", 4, "binary"), ("numbers", 4, "json"), ("texts", 4, "binary"),
        ("flags", 4, "binary"),
    ],
)  # fmt: skip
def test_it_measures_every_concurrency_and_reads_the_statistics(
    program: Path, server: ThreadedServer, tmp_path: Path, model: str, rows: int, tensors: str
) -> None:
    table = tmp_path / "measured.csv"
    # Windows of a number of requests, and of any stability: what is measured is not the point here.
    command: list[str | Path] = [
        program, "-m", model, "-b", str(rows), "-i", "http", "-u", server.url.removeprefix("http://"),
        "--concurrency-range", "1:4", "--input-tensor-format", tensors, "--output-tensor-format", tensors,
        "--measurement-mode", "count_windows", "--measurement-request-count", "20", "-s", "1000000",
        "-f", table, *(["-z"] if model == "ids" else []),  # zeros, since its other numbers are beyond a table of ten
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env={**os.environ, "LD_LIBRARY_PATH": str(program.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with table.open() as lines:
        measured = {row["Concurrency"]: row for row in csv.DictReader(lines)}
    assert measured.keys() == {"1", "2", "3", "4"}
    for row in measured.values():
        assert float(row["Inferences/Second"]) > 0
        assert int(row["Server Compute Infer"]) > 0
