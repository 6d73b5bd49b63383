"""Node's `fetch`, the same as in browsers: a string is sent as text/plain unless the script says otherwise."""

from typing import Any

import pytest

from tests.deploy.tools import need
from tests.serving.clients.programs import SCRIPTS, told_by
from tests.serving.servers import ThreadedServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def seen(server: ThreadedServer) -> Any:
    """What came for each of the script's requests."""
    return told_by(need("node"), SCRIPTS / "fetch.mjs", server.url)


def test_json_is_read_as_such_whatever_its_type_is_called(seen: Any) -> None:
    labels = [each["label"] for each in seen["predict_json"]["body"]["predictions"]]
    assert labels == ["positive", "negative"]
    assert seen["predict_plain"] == seen["predict_json"]


def test_a_text_is_a_text(seen: Any) -> None:
    assert [each["label"] for each in seen["predict_text"]["body"]["predictions"]] == ["positive"]


def test_tensors_under_text_plain_are_answered(seen: Any) -> None:
    assert seen["infer_plain"]["status"] == 200
    assert seen["infer_plain"]["body"]["outputs"][0]["data"] == [1, 2, 3]


def test_bytes_of_tensors_come_back(seen: Any) -> None:
    assert seen["binary"] == {"status": 200, "numbers": [0.5, -1, pytest.approx(3e38, rel=1e-7)]}


def test_sixteen_megabyte_requests_at_once_are_answered_each_with_its_own(seen: Any) -> None:
    assert seen["large"] == [True] * 16


def test_a_get_is_told_that_post_is_meant(seen: Any) -> None:
    assert seen["wrong"]["status"] == 405
    assert "POST" in seen["wrong"]["body"]["error"]
