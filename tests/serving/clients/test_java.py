"""`java.net.http.HttpClient` of the JDK as it is without any setting: it offers HTTP/2 by `Upgrade: h2c`."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.deploy.tools import missing
from tests.serving.clients.programs import SCRIPTS, printed_by
from tests.serving.servers import ThreadedServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def java() -> str:
    """One that compiles what it runs: Debian's `openjdk-17-jdk-headless`."""
    found = shutil.which("java")
    if found is None or shutil.which("javac") is None:
        missing("not installed: a JDK, which is java and javac")
    return found


@pytest.mark.parametrize(
    ("numbers", "more_head"),
    [(2, 0), (150_000, 0), (2, 40_000), (150_000, 40_000)],
    ids=["small", "a megabyte", "a long head", "a megabyte after a long head"],
)
def test_requests_in_turn_and_at_once_are_answered(
    java: str, server: ThreadedServer, tmp_path: Path, numbers: int, more_head: int
) -> None:
    rng = np.random.default_rng(numbers)
    asked = {f"{place}.json": rng.random(numbers, np.float32).tolist() for place in range(8)}
    for name, data in asked.items():
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, numbers], "data": data}
        (tmp_path / name).write_text(json.dumps({"inputs": [tensor]}))
    url = f"{server.url}/v2/models/flex/infer"
    told = printed_by(
        java, "-XX:TieredStopAtLevel=1", SCRIPTS / "Client.java", url, tmp_path, str(more_head), *asked
    )
    ways = ("in-turn", "at-once")
    assert told.splitlines() == [f"200 HTTP_1_1 {name}.{way}" for way in ways for name in asked]
    for way in ways:
        for name, data in asked.items():
            (output,) = json.loads((tmp_path / f"{name}.{way}").read_bytes())["outputs"]
            assert np.array_equal(np.float32(output["data"]), np.float32(data))


def test_a_mistake_is_told_in_words(java: str, server: ThreadedServer, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text('{"inputs": []}')
    url = f"{server.url}/v2/models/flex/infer"
    told = printed_by(
        java, "-XX:TieredStopAtLevel=1", SCRIPTS / "Client.java", url, tmp_path, "0", "wrong.json"
    )
    assert told.splitlines() == ["400 HTTP_1_1 wrong.json.in-turn", "400 HTTP_1_1 wrong.json.at-once"]
    assert "inputs" in json.loads((tmp_path / "wrong.json.in-turn").read_bytes())["error"]
