"""tritony's `InferenceClient` over HTTP, which reads the configuration and cuts what it is given into batches."""

from typing import Any

import pytest

from tests.serving.clients.programs import SCRIPTS, bin_of, told_by
from tests.serving.servers import ThreadedServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(server: ThreadedServer) -> Any:
    """What it was told: see the script."""
    return told_by(
        bin_of("mlserver-tritony") / "python", SCRIPTS / "ask_tritony.py", server.url.removeprefix("http://")
    )


def test_it_reads_the_configuration(told: Any) -> None:
    assert told["spec"] == [64, [["x", "FP32", [3], False], ["y", "FP32", [3], False]]]


def test_rows_are_answered_in_their_order(told: Any) -> None:
    assert told["rows"] == [[6 * row + 0.5, 6 * row + 2.5, 6 * row + 4.5] for row in range(10)]
    assert told["many"] == [[6 * row, 6 * row + 2, 6 * row + 4] for row in range(200)]
    assert told["array"] == [[0, 1, 2], [3, 4, 5]]
    assert told["other model"] == [[2**40, 1]]
    assert told["texts"] == [["naïve"], ["b"]]


def test_twenty_at_once_get_their_own_answers(told: Any) -> None:
    assert told["loop"] == [[[place, 2 + place, 4 + place]] for place in range(20)]
