"""A listener of its own for administration: a port or a Unix socket, with TLS, with workers, and until the end."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving.server import serve
from serving.settings import Settings
from serving.workers.supervisor import supervise
from tests.bundles import sum_graph, write_bare
from tests.deploy.conftest import free_port, serving, until
from tests.serving.http.test_tls import Authority, trusting
from tests.serving.servers import ADMIN, start

TOKEN = {"authorization": f"Bearer {ADMIN}"}
LOAD = "/v2/repository/models/sum/load"


@contextmanager
def unix(path: Path) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(base_url="http://localhost", transport=transport, timeout=30) as client:
        yield client


@pytest.fixture
def models(tmp_path: Path) -> Path:
    write_bare(tmp_path / "models", "sum", sum_graph())
    return tmp_path / "models"


@pytest.mark.slow
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_port_of_its_own_is_the_only_one_that_loads(models: Path, host: str) -> None:
    port = free_port()
    with start(models=models, admin_token=ADMIN, admin_listen=f"{host}:{port}") as server:
        with httpx.Client(base_url=server.url, headers=TOKEN) as main:
            for method, path in (
                ("POST", LOAD),
                ("POST", LOAD.replace("load", "unload")),
                ("GET", "/v2/diagnostics"),
            ):
                refused = main.request(method, path)
                assert refused.status_code == 403
                assert "expected the address of --admin-listen" in refused.json()["error"]
            assert main.post("/v2/repository/index").status_code == 200
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as admin:
            assert admin.post(LOAD).status_code == 401
            assert admin.post(LOAD, headers=TOKEN).status_code == 200
            for path in ("/v2/diagnostics", "/v2/health/ready", "/metrics"):
                assert admin.get(path).status_code == 200
            misdirected = admin.get("/metrics", headers={"host": "evil.example"})
            assert misdirected.status_code == (421 if host == "127.0.0.1" else 200)


@pytest.mark.slow
@pytest.mark.parametrize("token", [None, ADMIN])
def test_a_unix_socket_wants_a_token_where_one_is_set(
    models: Path, tmp_path: Path, token: str | None
) -> None:
    path = tmp_path / "admin.sock"
    with start(models=models, admin_token=token, admin_listen=f"unix:{path}") as server:
        with unix(path) as admin:
            assert admin.post(LOAD).status_code == (401 if token else 200)
            assert admin.post(LOAD, headers=TOKEN).status_code == 200
            assert admin.get("/v2/diagnostics").status_code == 200
        assert httpx.post(f"{server.url}{LOAD}", headers=TOKEN).status_code == 403
    assert not path.exists()


@pytest.mark.slow
def test_a_port_has_the_certificate_of_the_other_and_a_unix_socket_needs_none(
    models: Path, tmp_path: Path
) -> None:
    (tmp_path / "ca").mkdir()
    authority = Authority(tmp_path / "ca")
    pair = authority.issue("server")
    tls: dict[str, Any] = {"tls_cert": pair.cert, "tls_key": pair.key}
    port, path = free_port(), tmp_path / "admin.sock"
    with (
        start(models=models, admin_token=ADMIN, admin_listen=f"127.0.0.1:{port}", **tls),
        httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting(authority)) as admin,
    ):
        assert admin.post(LOAD, headers=TOKEN).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.post(f"http://127.0.0.1:{port}{LOAD}", headers=TOKEN)
    with start(models=models, admin_listen=f"unix:{path}", **tls), unix(path) as admin:
        assert admin.post(LOAD).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_every_worker_administers_and_the_address_is_left_at_the_end(
    models: Path, tmp_path: Path, workers: int, kind: str
) -> None:
    path, port = tmp_path / "admin.sock", free_port()
    address = f"unix:{path}" if kind == "unix" else f"127.0.0.1:{port}"
    if kind == "unix":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))  # by a server that was killed
    uds, url = (str(path), "http://localhost") if kind == "unix" else (None, f"http://127.0.0.1:{port}")
    flags: dict[str, Any] = {"admin_token": ADMIN, "admin_listen": address, "drain_delay_s": 1.0}
    with serving(models, tmp_path / "log", workers=workers, **flags) as server:
        for _ in range(4):  # each on a connection of its own
            transport = httpx.HTTPTransport(uds=uds)
            with httpx.Client(base_url=url, transport=transport, timeout=30) as admin:
                assert admin.post(LOAD, headers=TOKEN).status_code == 200
                assert len(admin.get("/v2/diagnostics").json().get("workers", [0])) == workers
            assert httpx.post(f"{server.url}{LOAD}", headers=TOKEN, timeout=30).status_code == 403
        transport = httpx.HTTPTransport(uds=uds)
        with httpx.Client(base_url=url, transport=transport, timeout=30) as admin:
            assert admin.get("/v2/health/live").status_code == 200
            os.kill(server.process.pid, signal.SIGTERM)
            until(lambda: admin.get("/v2/health/ready").status_code == 503, "the drain to be seen")
        assert server.process.wait(30) == 0
    assert not path.exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_address_that_is_taken_is_a_failed_start(
    models: Path,
    tmp_path: Path,
    workers: int,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "precious"
    file.touch()
    settings = Settings(models=models, port=0, admin_listen=f"unix:{file}", workers=workers)
    if workers == 1:
        with pytest.raises(SystemExit) as ended:
            serve(settings)
        status = ended.value.code
    else:
        status = supervise(settings, [])
    assert status
    assert (
        f"--admin-listen unix:{file}: {file} is there and is no socket"
        in caplog.text + capsys.readouterr().err
    )


def test_a_port_for_administration_without_a_token_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from serving.__main__ import main

    for address, said in (
        ("127.0.0.1:8001", "expected --admin-token beside it"),
        ("admin.sock", "expected IP:PORT"),
    ):
        assert main(["serve", "--admin-listen", address]) == 2
        assert f"--admin-listen: got '{address}'" in (told := capsys.readouterr().err)
        assert said in told
