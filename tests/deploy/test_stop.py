"""SIGTERM under load: whatever was sent is answered, with and without a delay before the door closes."""

from pathlib import Path

import pytest

from scripts.walk import REFUSED, Callers
from tests.bundles import png, write_brightness
from tests.deploy.conftest import serving, until


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("drain_delay_s", [0, 1])
def test_a_stop_under_load_loses_nothing(tmp_path: Path, drain_delay_s: int, workers: int) -> None:
    models = tmp_path / "models"
    write_brightness(models)
    with serving(models, tmp_path / "log", drain_delay_s=drain_delay_s, workers=workers) as server:
        callers = Callers("/v1/models/brightness:predict", png(200), "image/png", lambda _: server.address, 8)
        with callers.asking():
            until(lambda: callers.ended[200] > 200, "load")
            server.process.terminate()
            server.process.wait(30)
            until(lambda: callers.ended[REFUSED] > 8, "every caller to notice")
        assert server.process.returncode == 0
    assert not callers.lost, callers.ended
    assert set(callers.ended) == {200, REFUSED}
