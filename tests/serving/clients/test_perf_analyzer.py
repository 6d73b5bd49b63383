"""1. perf_analyzer over HTTP runs to the end: it asks metadata, configuration and statistics, and stops at any error.

`PERF_ANALYZER` is its path, and libcudart.so.12, which it is linked with, lies beside it: `.ci/run` fetches both.
"""

import csv
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.tools import missing
from tests.serving.servers import ThreadedServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program() -> Path:
    named = os.environ.get("PERF_ANALYZER", "")
    if not named:
        missing(
            "PERF_ANALYZER is not set: the path of Triton's perf_analyzer, with libcudart.so.12 beside it"
        )
    return Path(named)


ASKED: dict[str, dict[str, dict[str, Any]]] = {
    "sum": {
        "data": {"x": [1.0, 2.0, 3.0], "y": [0.5, -0.25, 0.0]},
        "validation_data": {"total": [1.5, 1.75, 3.0]},
    },
    "long": {"data": {"x": [5, -(2**40)]}, "validation_data": {"y": [5, -(2**40)]}},
    "echo": {"data": {"x": ["some words"]}, "validation_data": {"y": ["some words"]}},
    "not": {"data": {"x": [True, False, True]}, "validation_data": {"y": [False, True, False]}},
    "tens": {"data": {"x": [7]}, "validation_data": {"y": [70]}},
}
"""A request of each model, and what it has to answer: FP32, INT64, BYTES, BOOL, and a graph whose input is `[N]`."""


@pytest.mark.parametrize("tensors", ["json", "binary"])
@pytest.mark.parametrize("model", ASKED)
def test_answers_are_what_they_should_be(
    program: Path, server: ThreadedServer, tmp_path: Path, model: str, tensors: str
) -> None:
    asked = tmp_path / "asked.json"
    asked.write_text(json.dumps({part: [values] for part, values in ASKED[model].items()}))
    measured = measure(
        program, server, tmp_path, model, "--input-data", str(asked), "--input-tensor-format", tensors
    )
    assert measured.keys() == {"2"}


@pytest.mark.parametrize(("rows", "tensors"), [(1, "binary"), (4, "json")])
def test_it_measures_every_concurrency_and_reads_the_statistics(
    program: Path, server: ThreadedServer, tmp_path: Path, rows: int, tensors: str
) -> None:
    forms = ("--input-tensor-format", tensors, "--output-tensor-format", tensors)
    measured = measure(program, server, tmp_path, "sum", "-b", str(rows), *forms, concurrency="1:2")
    assert measured.keys() == {"1", "2"}
    for row in measured.values():
        assert float(row["Inferences/Second"]) > 0
        assert int(row["Server Compute Infer"]) > 0


@pytest.mark.parametrize("model", ["echo", "tens", "brightness"])
def test_it_makes_inputs_of_its_own(
    program: Path, server: ThreadedServer, tmp_path: Path, model: str
) -> None:
    assert measure(program, server, tmp_path, model, "-b", "2").keys() == {"2"}


def measure(
    program: Path, server: ThreadedServer, folder: Path, model: str, *options: str, concurrency: str = "2"
) -> dict[str, dict[str, str]]:
    """What it measured, by concurrency: it stops at any error and any wrong answer."""
    table = folder / "measured.csv"
    # Windows of a number of requests, and of any stability: what is measured is not the point here.
    command: list[str | Path] = [
        program, "-m", model, "-i", "http", "-u", server.url.removeprefix("http://"),
        "--concurrency-range", concurrency, "--measurement-mode", "count_windows",
        "--measurement-request-count", "20", "-s", "1000000", "-f", table, *options,
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
        return {row["Concurrency"]: row for row in csv.DictReader(lines)}
