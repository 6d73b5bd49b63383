"""SIGTERM under load: whatever was sent is answered, with and without a delay before the listener closes."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from scripts.smoke_test import REFUSED, Clients
from tests.bundles import png, write_brightness
from tests.deploy.conftest import serving, until


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("drain_delay_s", [0, 1])
def test_a_stop_under_load_loses_nothing(tmp_path: Path, drain_delay_s: int, workers: int) -> None:
    models = tmp_path / "models"
    write_brightness(models)
    with serving(models, tmp_path / "log", drain_delay_s=drain_delay_s, workers=workers) as server:
        clients = Clients("/v1/models/brightness:predict", png(200), "image/png", lambda _: server.address, 8)
        with clients.asking():
            until(lambda: clients.ended[200] > 200, "load")
            server.process.terminate()
            server.process.wait(30)
            until(lambda: clients.ended[REFUSED] > 8, "every client to notice")
        assert server.process.returncode == 0
    assert not clients.lost, clients.ended
    assert set(clients.ended) == {200, REFUSED}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_clients_that_send_slowly_or_nothing_do_not_hold_up_the_end(tmp_path: Path, workers: int) -> None:
    models = tmp_path / "models"
    write_brightness(models)
    head = b"POST /v1/models/brightness:predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    with serving(models, tmp_path / "log", workers=workers) as server:
        host, port = server.address.split(":")
        with ExitStack() as stack:
            for begun in (b"", head, head + b"Content-Length: 5000000\r\n\r\n", b"GET /v2") * 2:
                connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
                connection.sendall(begun)
            time.sleep(0.2)
            server.process.terminate()
            assert server.process.wait(15) == 0  # far less than --shutdown-timeout-s
