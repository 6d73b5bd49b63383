"""PyTriton's `ModelClient`, `FuturesModelClient` and `AsyncioModelClient` over HTTP."""

from typing import Any

import pytest

from tests.serving.clients.programs import SCRIPTS, bin_of, told_by
from tests.serving.servers import ThreadedServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(server: ThreadedServer) -> Any:
    """What they were told: see the script."""
    return told_by(bin_of("pytriton") / "python", SCRIPTS / "ask_pytriton.py", server.url)


def test_it_reads_the_configuration(told: Any) -> None:
    assert told["config"] == ["sum", 64, True]


def test_samples_and_batches_are_answered(told: Any) -> None:
    assert told["sample"] == {"total": [0.5, 1.5, 2.5]}
    assert told["batch"] == {"total": [[0.5, 1.5, 2.5], [3.5, 4.5, 5.5]]}
    assert told["long"] == {"y": [[2**40, -1]]}
    assert told["texts"] == {"y": [["naïve"], [""]]}


def test_a_graph_of_ids_takes_samples_of_one_number(told: Any) -> None:
    assert told["ids"]["y"] == [10, 20, 30]
    assert told["id"]["y"] == 40


def test_a_graph_without_a_batch_takes_samples_only(told: Any) -> None:
    assert told["whole"] == {"y": [[0, 1, 2], [3, 4, 5]]}
    assert "DoesntSupportBatching" in told["no batches"]


def test_headers_and_parameters_of_the_callers_own_are_no_mistake(told: Any) -> None:
    assert told["headers"] == told["parameters"] == {"y": [[2**40, -1]]}


def test_mistakes_are_told_in_words(told: Any) -> None:
    assert "inputs[1].shape" in told["refused"]


@pytest.mark.parametrize("way", ["futures", "loop"])
def test_forty_at_once_get_their_own_answers(told: Any, way: str) -> None:
    assert told[way] == [[place + 0.5, place + 1.5, place + 2.5] for place in range(40)]
