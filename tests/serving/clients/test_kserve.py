"""The client of KServe's SDK, `InferenceRESTClient`, over both protocols."""

from typing import Any

import pytest

from tests.bundles import png
from tests.serving.clients.programs import SCRIPTS, bin_of, told_by
from tests.serving.protocol.wire import VALUES
from tests.serving.servers import ThreadedServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(server: ThreadedServer, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What it was told: see the script."""
    python = bin_of("kserve") / "python"
    image = tmp_path_factory.mktemp("kserve") / "bright.png"
    image.write_bytes(png(255))
    return told_by(python, SCRIPTS / "ask_kserve.py", server.url, image)


def test_server_and_models_are_live_and_ready(told: Any) -> None:
    assert told["v1"]["live"] is told["v1"]["ready"] is True
    assert told["v2"]["live"] is told["v2"]["ready"] is True
    assert told["v2"]["model"] == [True, False]


def test_pictures_are_predicted_and_explained(told: Any) -> None:
    assert [each["label"] for each in told["v1"]["predicted"]["predictions"]] == ["bright", "bright"]
    assert [each["label"] for each in told["v1"]["explained"]["explanations"]] == ["bright", "bright"]


@pytest.mark.parametrize("form", ["json", "binary"])
def test_every_datatype_comes_back(told: Any, form: str) -> None:
    assert told["v2"][form] == {"types": dict.fromkeys(VALUES, True), "names": ["seven", "types"]}


def test_mistakes_are_told_in_words(told: Any) -> None:
    assert "unknown" in told["v1"]["unknown"]
    assert "404" in told["v1"]["unknown"]
    assert "instances[0]" in told["v1"]["refused"]
    assert "inputs: got" in told["v2"]["refused"]
