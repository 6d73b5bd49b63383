"""`mlserver infer`, which sends a file of requests, one a line, through `tritonclient`."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.serving.clients.programs import bin_of, printed_by
from tests.serving.servers import ThreadedServer

pytestmark = pytest.mark.slow

ROWS = 24


def ask(server: ThreadedServer, folder: Path, model: str, requests: list[Any], *options: str) -> list[Any]:
    """Its answers in the order of the requests."""
    asked, answered = folder / "asked.jsonl", folder / "answered.jsonl"
    asked.write_text("".join(json.dumps(each) + "\n" for each in requests))
    url = server.url.removeprefix("http://")
    command = ["infer", "-u", url, "-m", model, "-i", str(asked), "-o", str(answered), *options]
    printed_by(bin_of("mlserver-tritony") / "mlserver", *command)
    answers = [json.loads(line) for line in answered.read_text().splitlines()]
    assert not [answer for answer in answers if "error" in answer]
    answers.sort(key=lambda answer: int(answer["parameters"]["batch_index"]))
    return answers


def sums(place: int) -> dict[str, Any]:
    tensors = {"x": [place, 1, 2], "y": [0.5, 0.25, 10 * place]}
    shape = {"shape": [1, 3], "datatype": "FP32"}
    return {"inputs": [{"name": name, **shape, "data": data} for name, data in tensors.items()]}


@pytest.mark.parametrize("options", [["-s", "5"], ["-b"]], ids=["json, five lines a request", "binary"])
def test_every_line_gets_its_own_answer(server: ThreadedServer, tmp_path: Path, options: list[str]) -> None:
    answers = ask(server, tmp_path, "sum", [sums(place) for place in range(ROWS)], *options)
    got = [answer["outputs"][0]["data"] for answer in answers]
    assert got == [[place + 0.5, 1.25, 2 + 10 * place] for place in range(ROWS)]
    assert answers[3]["model_name"] == "sum"


def test_whole_numbers_are_answered_as_such(server: ThreadedServer, tmp_path: Path) -> None:
    data = [[place, 2**40 + place] for place in range(ROWS)]
    tensor = {"name": "x", "shape": [1, 2], "datatype": "INT64"}
    answers = ask(server, tmp_path, "long", [{"inputs": [{**tensor, "data": each}]} for each in data])
    assert [answer["outputs"][0]["data"] for answer in answers] == data
