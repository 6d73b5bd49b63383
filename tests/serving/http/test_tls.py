"""TLS: the same answers as without, clients' certificates, rotation, and files that cannot be used."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from serving.__main__ import main
from serving.healthcheck import main as healthcheck
from tests.bundles import png, sum_graph, write_bare, write_brightness
from tests.deploy.tools import need, run
from tests.serving.http.test_fast_path import body, read, request, total
from tests.serving.servers import ThreadedServer, start


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path

    def copy_to(self, other: "Pair") -> None:
        """As a rotation does it: each file is replaced whole."""
        for ours, theirs in ((self.cert, other.cert), (self.key, other.key)):
            shutil.copy(ours, theirs.with_suffix(".new"))
            theirs.with_suffix(".new").replace(theirs)

    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.cert.read_text())


class Authority:
    """Makes certificates with the openssl command."""

    def __init__(self, folder: Path) -> None:
        self._openssl, self.folder = need("openssl"), folder
        self.own = Pair(folder / "ca.pem", folder / "ca.key")
        self._make(self.own, "ca", "-x509", "-addext", "basicConstraints=critical,CA:TRUE")

    def issue(self, name: str) -> Pair:
        """For 127.0.0.1, and for clients."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        self._make(pair, name, "-x509", "-CA", self.own.cert, "-CAkey", self.own.key, "-addext",
                   "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=IP:127.0.0.1")  # fmt: skip
        return pair

    def _make(self, pair: Pair, name: str, *options: str | Path) -> None:
        run(
            self._openssl, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "1", "-subj", f"/CN={name}", "-keyout", pair.key, "-out", pair.cert, *options,
        )  # fmt: skip


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    write_bare(root, "sum", sum_graph())
    write_brightness(root)
    return root


def trusting(authority: Authority, client: Pair | None = None) -> ssl.SSLContext:
    """A client's side, which trusts this authority, and may show a certificate."""
    context = ssl.create_default_context(cafile=authority.own.cert)
    if client is not None:
        context.load_cert_chain(client.cert, client.key)
    return context


@contextlib.contextmanager
def connected(server: ThreadedServer, context: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    with (
        socket.create_connection((host, port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as wrapped,
    ):
        yield wrapped


def https(server: ThreadedServer, context: ssl.SSLContext) -> httpx.Client:
    return httpx.Client(base_url=server.url.replace("http://", "https://"), verify=context, timeout=20)


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


@pytest.fixture(scope="module")
def server(models: Path, pair: Pair) -> Iterator[ThreadedServer]:
    with start(models=models, tls_cert=pair.cert, tls_key=pair.key) as running:
        yield running


@pytest.mark.slow
def test_every_verb_is_answered_over_tls(server: ThreadedServer, authority: Authority) -> None:
    with https(server, trusting(authority)) as http:
        assert http.get("/v2/health/ready").json() == {"ready": True}
        assert total(http.post("/v2/models/sum/infer", content=body(1, 2, 3)).content) == [2, 3, 4]

        def ask(verb: str) -> httpx.Response:
            headers = {"content-type": "image/png"}
            return http.post(f"/v1/models/brightness:{verb}", content=png(255), headers=headers)

        assert ask("predict").json()["predictions"][0]["label"] == "bright"
        assert ask("explain").json()["explanations"][0]["label"] == "bright"


def test_the_fast_path_is_taken_over_tls_too(server: ThreadedServer, authority: Authority) -> None:
    with connected(server, trusting(authority)) as connection:
        # Alone, with a head that is known, in two records, and pipelined, on one connection.
        last = request(body(7, 8, 9))
        for sent in ([request(body(1, 2, 3))], [request(body(4, 5, 6))], [last[:40], last[40:]]):
            for part in sent:
                connection.sendall(part)
            ((status, _, answer),) = read(connection, 1)
            assert status == 200
        assert total(answer) == [8, 9, 10]
        connection.sendall(request(body(1, 1, 1)) + request(body(2, 2, 2)))
        assert [total(answer) for _, _, answer in read(connection, 2)] == [[2, 2, 2], [3, 3, 3]]


def test_who_speaks_no_tls_is_not_answered(server: ThreadedServer) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{server.url}/v2", timeout=20)


def test_old_protocols_are_not_spoken(server: ThreadedServer, authority: Authority) -> None:
    context = trusting(authority)
    assert server.config.ssl is not None
    assert server.config.ssl.minimum_version >= ssl.TLSVersion.TLSv1_2
    with connected(server, context) as connection:
        assert connection.version() == "TLSv1.3"


# Clients' certificates


@pytest.mark.slow
def test_only_clients_of_the_authority_are_let_in(
    models: Path, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path).issue("stranger")
    settings = {"tls_cert": pair.cert, "tls_key": pair.key, "tls_ca": authority.own.cert}
    with start(models=models, **settings) as server:
        with https(server, trusting(authority, authority.issue("client"))) as http:
            assert http.post("/v2/models/sum/infer", content=body(1, 2, 3)).status_code == 200
        for client in (None, stranger):
            with https(server, trusting(authority, client)) as http, pytest.raises(httpx.TransportError):
                http.get("/v2/health/live")


# Rotation


def seen_by(server: ThreadedServer, authority: Authority) -> bytes:
    """The certificate that a new connection meets."""
    with connected(server, trusting(authority)) as connection:
        return connection.getpeercert(binary_form=True) or b""


@pytest.mark.slow
def test_new_files_are_taken_up_and_who_is_connected_stays(
    models: Path, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    used, first, second = (
        Pair(tmp_path / "tls.crt", tmp_path / "tls.key"),
        *map(authority.issue, ("first", "second")),
    )
    first.copy_to(used)
    with (
        start(models=models, tls_cert=used.cert, tls_key=used.key) as server,
        connected(server, trusting(authority)) as before,
    ):
        assert seen_by(server, authority) == first.der()
        shutil.copy(second.cert, used.cert)  # a certificate whose key has not come yet
        until(lambda: "the old certificate stays" in caplog.text)
        assert seen_by(server, authority) == first.der()
        second.copy_to(used)
        until(lambda: seen_by(server, authority) == second.der())
        before.sendall(request(body(1, 2, 3)))
        assert read(before, 1)[0][0] == 200
    assert caplog.text.count("the old certificate stays") == 1


def until(true: Callable[[], bool]) -> None:
    """Wait for the server's heartbeat to find what has changed."""
    end = monotonic() + 60
    while not true():
        assert monotonic() < end
        sleep(0.05)


# Stop


@pytest.mark.slow
def test_who_had_come_to_the_door_when_it_closed_is_answered_and_who_says_nothing_is_not_waited_for(
    models: Path, pair: Pair, authority: Authority
) -> None:
    with start(models=models, tls_cert=pair.cert, tls_key=pair.key) as server:
        held, came = threading.Event(), threading.Event()

        async def close() -> None:
            held.set()
            came.wait(20)  # the loop accepts nobody meanwhile: they wait in the kernel
            await server._close_listener()

        assert server.loop is not None
        closing = asyncio.run_coroutine_threadsafe(close(), server.loop)
        assert held.wait(20)
        address = server.servers[0].sockets[0].getsockname()[:2]
        with (
            socket.create_connection(address, timeout=20),
            socket.create_connection(address, timeout=20) as plain,
        ):
            came.set()
            with trusting(authority).wrap_socket(plain, server_hostname=address[0]) as speaking:
                speaking.sendall(request(body(1, 2, 3)))
                assert read(speaking, 1)[0][0] == 200
            closing.result(30)


# Refusals


@pytest.mark.slow
def test_slow_clients_are_refused_over_tls_and_do_not_hold_up_the_end(
    models: Path, pair: Pair, authority: Authority
) -> None:
    running = start(models=models, tls_cert=pair.cert, tls_key=pair.key)
    with running as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(server, trusting(authority))) for _ in range(2)]
        slow[0].sendall(b"POST /v2")
        slow[1].sendall(request(body(1, 2, 3))[:-5])
        sleep(0.2)
        began = monotonic()
        server.handle_exit(15, None)
        for connection in slow:
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
        server._thread.join(20)
        assert not server._thread.is_alive()
        assert monotonic() - began < 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "begun", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"], ids=["nothing", "half a hello"]
)
def test_a_handshake_that_never_ends_is_closed_in_time(models: Path, pair: Pair, begun: bytes) -> None:
    with start(models=models, tls_cert=pair.cert, tls_key=pair.key, receive_timeout_s=1) as server:
        address = server.servers[0].sockets[0].getsockname()[:2]
        with socket.create_connection(address, timeout=30) as connection:
            began = monotonic()
            connection.sendall(begun)
            with contextlib.suppress(ConnectionError):
                assert connection.recv(1 << 16) == b""
            assert 0.9 < monotonic() - began < 20


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tls-cert", "{cert}"], "--tls-key: got nothing, expected the key of --tls-cert"),
        (["--tls-key", "{key}"], "--tls-cert: got nothing, expected a certificate"),
        (["--tls-ca", "{cert}"], "--tls-cert: got nothing, expected a certificate"),
        (["--tls-cert", "{none}", "--tls-key", "{key}"], "--tls-cert: got '{none}' (No such file or directory)"),
        (["--tls-cert", "{cert}", "--tls-key", "{none}"], "--tls-key: got '{none}' (No such file or directory)"),
        (["--tls-cert", "{junk}", "--tls-key", "{key}"], "--tls-cert: got '{junk}'"),
        (["--tls-cert", "{key}", "--tls-key", "{key}"], "--tls-cert: got '{key}'"),
        (["--tls-cert", "{cert}", "--tls-key", "{junk}"], "--tls-key: got '{junk}'"),
        (["--tls-cert", "{cert}", "--tls-key", "{other}"], "--tls-key: got '{other}' (KEY_VALUES_MISMATCH)"),
        (["--tls-cert", "{cert}", "--tls-key", "{locked}"], "--tls-key: got '{locked}'"),
        (["--tls-cert", "{cert}", "--tls-key", "{key}", "--tls-ca", "{junk}"], "--tls-ca: got '{junk}'"),
        (["--tls-cert", "{folder}", "--tls-key", "{key}"], "--tls-cert: got '{folder}' (Is a directory)"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_used_are_refused_by_their_flag(
    models: Path, authority: Authority, pair: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    flags: list[str], words: str,
) -> None:  # fmt: skip
    (tmp_path / "junk").write_text("no PEM")
    run(
        need("openssl"),
        "ec",
        "-in",
        pair.key,
        "-aes128",
        "-passout",
        "pass:secret",
        "-out",
        tmp_path / "locked",
    )
    names = {
        "cert": pair.cert, "key": pair.key, "other": authority.issue("other").key, "none": tmp_path / "none",
        "junk": tmp_path / "junk", "locked": tmp_path / "locked", "folder": tmp_path,
    }  # fmt: skip
    assert main(["serve", "--models", str(models), *(flag.format(**names) for flag in flags)]) == 2
    assert words.format(**names) in capsys.readouterr().err


# The container's health check


@pytest.mark.slow
@pytest.mark.parametrize("mutual", [False, True])
def test_the_health_check_speaks_as_the_server_does(
    models: Path, authority: Authority, pair: Pair, monkeypatch: pytest.MonkeyPatch, mutual: bool
) -> None:
    ca = authority.own.cert if mutual else None
    with start(models=models, tls_cert=pair.cert, tls_key=pair.key, tls_ca=ca) as server:
        monkeypatch.setenv("BATON_PORT", server.url.rsplit(":", 1)[1])
        assert healthcheck(["ready"]) == 1  # it speaks no TLS
        monkeypatch.setenv("BATON_TLS_CERT", str(pair.cert))
        monkeypatch.setenv("BATON_TLS_KEY", str(pair.key))
        if mutual:
            assert healthcheck(["ready"]) == 1  # and shows nothing
            monkeypatch.setenv("BATON_TLS_CA", str(ca))
        assert healthcheck(["ready"]) == 0
        monkeypatch.setenv("BATON_TLS_KEY", "/nowhere")
        assert healthcheck(["ready"]) == (1 if mutual else 0)
