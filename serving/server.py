"""The server's process: uvicorn, started with every choice made, and stopped without losing a request."""

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from inference.errors import ProviderUnavailable
from inference.folder import listing, said_of
from inference.runtime.providers import check_device
from inference.store.signatures import KeyInvalid, Trust
from serving.access.keys import ApiKeys, KeysRefused
from serving.app import Application, create_app
from serving.engine.memory import keep_arenas_few, keep_no_large_blocks
from serving.http.asgi import Asgi
from serving.http.bounds import SWEEP_S
from serving.http.http1 import BoundedProtocol, bounded_protocol
from serving.http.protocol import protocol_of
from serving.http.tls import Certificate, CertificateRefused
from serving.listening import (
    BACKLOG,
    EVERY_ADDRESS,
    Address,
    Descriptors,
    is_accepted_at,
    leave_address,
    listen,
    listen_at,
    parse_address,
    url_of,
)
from serving.observe.logs import set_up_logging
from serving.observe.payloads.log import check_payload_log
from serving.observe.telemetry import Tracing, TracingUnavailable
from serving.settings import Settings

log = logging.getLogger("baton")

TICKS_A_SECOND = 10  # uvicorn calls `on_tick` every 0.1 s (uvicorn.Server.main_loop)

LINGER_S = 1.0
"""For a request that was sent before its client could know that the server is leaving."""

GIVE_UP_S = 2.0
"""After `shutdown_timeout_s`: for the end of connections, of threads and of the interpreter itself."""


class Config(uvicorn.Config):
    """uvicorn's configuration, with the parts that the server looks after; None for those that it has not."""

    certificate: Certificate | None = None
    handshake_s: float = 30.0
    admin: "Config | None" = None
    """Of the listener of administration."""
    admin_address: Address | None = None


class BatonServer(uvicorn.Server):
    """uvicorn, stopped in steps: unready at once, then closed to new connections, then empty, then gone.

    Traffic still arrives for a while after SIGTERM (triton server issue 6230), so it is answered for
    `drain_delay_s`, and liveness stays. A second signal ends the process where it stands.
    """

    config: Config

    def __init__(self, config: Config, app: Application, drain_delay_s: float) -> None:
        super().__init__(config)
        self._app, self._drain_delay_s, self._certificate = app, drain_delay_s, config.certificate
        self._handshake_s = config.handshake_s
        self.descriptors = Descriptors(log)
        self._ends_process = False
        self._close_at: float | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal's handler; uvicorn installs it for SIGINT and SIGTERM."""
        if self._app.lifecycle.draining:
            os._exit(128 + sig)
        self._app.lifecycle.drain()
        self._close_at = time.monotonic() + self._drain_delay_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, but for the listening. Connections are looked after until the process ends.

        `sockets`: none to listen nowhere; None for the address of the settings.
        """
        admin = None if sockets is not None else self._listen_at_admin()
        await super().startup([])
        if sockets is None:
            try:
                self.servers = [await self._listen()]
            except OSError as error:
                log.error("--host %s --port %d: %s", self.config.host, self.config.port, error)
                if self.config.admin_address is not None:
                    leave_address(self.config.admin_address)
                await self.lifespan.shutdown()
                sys.exit(STARTUP_FAILURE)
            self._log_started_message(self.servers[0].sockets)
        if admin is not None:
            self.servers.append(await self._serve_admin(admin))
        self._sweeping = asyncio.create_task(self._sweep())

    async def _listen(self) -> asyncio.Server:
        """At the address of the settings, and at `::` for IPv4 as well; uvicorn waits a minute for a TLS handshake."""
        config, loop = self.config, asyncio.get_running_loop()
        tls, limit_s = config.ssl, self.handshake_s()
        if config.host == EVERY_ADDRESS:
            listening = listen(config.host, config.port)
            return await loop.create_server(
                self._protocol, sock=listening, ssl=tls, ssl_handshake_timeout=limit_s
            )
        return await loop.create_server(
            self._protocol, config.host, config.port, ssl=tls, ssl_handshake_timeout=limit_s, backlog=BACKLOG
        )

    def _listen_at_admin(self) -> socket.socket | None:
        """A socket at the address of administration, if there is one: taken before models are loaded."""
        address = self.config.admin_address
        if address is None:
            return None
        try:
            return listen_at(address)
        except OSError as error:
            log.error("--admin-listen %s: %s", address, error)
            sys.exit(STARTUP_FAILURE)

    async def _serve_admin(self, listening: socket.socket) -> asyncio.Server:
        """Answer what comes to the address of administration; a Unix socket needs no TLS."""
        loop = asyncio.get_running_loop()
        log.info("administration on %s", self.config.admin_address)
        if listening.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._admin_protocol, sock=listening)
        tls, limit_s = self.config.ssl, self.handshake_s()
        return await loop.create_server(
            self._admin_protocol, sock=listening, ssl=tls, ssl_handshake_timeout=limit_s
        )

    def handshake_s(self) -> float | None:
        """Seconds that a TLS handshake may take; None without TLS."""
        return None if self.config.ssl is None else self._handshake_s

    async def _sweep(self) -> None:
        """Have every connection look at its limits; one look at ten thousand takes some milliseconds."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for connection in cast("list[BoundedProtocol]", list(self.server_state.connections)):
                try:
                    connection.sweep(now)
                except Exception:
                    log.exception("a connection's limits cannot be looked at")
            self._app.tidying.look()

    def _log_started_message(self, listeners: Sequence[socket.SocketType]) -> None:
        """uvicorn's, with the whole address."""
        port = self.config.port or listeners[0].getsockname()[1]
        url = url_of(self.config.host, port, tls=self.config.ssl is not None, root_path=self._app.root_path)
        log.info("serving on %s (press Ctrl-C to stop)", url)

    async def on_tick(self, counter: int) -> bool:
        """uvicorn's heartbeat, ten times a second; True ends the serving."""
        if self._close_at is not None and time.monotonic() >= self._close_at:
            log.info("draining: no new connections, requests under way are finished")
            self.should_exit = True
        if counter % TICKS_A_SECOND == 0:
            self.descriptors.are_left()
            self._app.stuck()
            self._refresh()
        return await super().on_tick(counter)

    def _refresh(self) -> None:
        """Read what may have changed: the certificate, the API keys."""
        if self._certificate is not None:
            self._certificate.refresh()
        if self._app.gate is not None:
            self._app.gate.keys.refresh()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, as the only thing that this process is for."""
        self._ends_process = True
        super().run(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen no more, answer the open connections, then uvicorn's own shutdown."""
        if self._ends_process:
            self._give_up_in_time()
        await self._close_listener()
        await self._linger()
        await super().shutdown(sockets)

    def _give_up_in_time(self) -> None:
        """End the process when its time is over, also where a run or a decoder holds a thread that would be joined."""
        limit_s = LINGER_S + (self.config.timeout_graceful_shutdown or 0) + GIVE_UP_S

        def give_up() -> None:
            log.error("the server ends after %g s of draining, with work under way", limit_s)
            logging.shutdown()
            os._exit(0)

        timer = threading.Timer(limit_s, give_up)
        timer.daemon = True
        timer.start()

    async def _close_listener(self) -> None:
        """Listen no more, and accept the backlog: the kernel resets connections that it has not handed over."""
        copies: list[int] = []
        with contextlib.suppress(OSError):  # no descriptor is left, so the backlog is lost
            copies += (os.dup(listening.fileno()) for server in self.servers for listening in server.sockets)
        for server in self.servers:
            server.close()
        if self.config.admin_address is not None:
            leave_address(self.config.admin_address)
        accepted: list[socket.socket] = []
        for copy in copies:
            with socket.socket(fileno=copy) as listening:
                listening.setblocking(False)
                with contextlib.suppress(OSError):  # there are no more, or no descriptor for one
                    while True:
                        accepted.append(listening.accept()[0])
        # A client that never ends its handshake must not hold up the others, nor the process.
        meetings = [self.meet(connection, LINGER_S) for connection in accepted]
        await asyncio.gather(*meetings, return_exceptions=True)

    async def meet(self, connection: socket.socket, handshake_s: float | None = None) -> None:
        """Have a connection answered that was accepted already, by the listener that it came to."""
        address = self.config.admin_address
        is_admin = address is not None and is_accepted_at(connection, address)
        tls = None if connection.family == socket.AF_UNIX else self.config.ssl
        await asyncio.get_running_loop().connect_accepted_socket(
            self._admin_protocol if is_admin else self._protocol,
            connection,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else handshake_s,
        )

    def _protocol(self) -> asyncio.Protocol:
        return self._protocol_by(self.config)

    def _admin_protocol(self) -> asyncio.Protocol:
        return self._protocol_by(self.config.admin or self.config)

    def _protocol_by(self, config: uvicorn.Config) -> asyncio.Protocol:
        """As uvicorn makes one for each connection."""
        return config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _linger(self) -> None:
        """Let a connection that is new or idle bring the request that may be under way on it.

        uvicorn closes such connections at once, and their clients lose the request that they have just sent. Here
        it is answered, with `Connection: close`; a connection without a request is closed when the time is over.
        """
        until = time.monotonic() + LINGER_S
        # uvicorn has no event for the end of a connection.
        while self.server_state.connections and time.monotonic() < until and not self.force_exit:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def make_config(settings: Settings, app: Application) -> Config:
    """uvicorn, told everything that it would otherwise guess."""
    certificate = Certificate.of(settings)
    times = settings.keep_alive_s, settings.receive_timeout_s
    config = _config(settings, app.asgi, protocol_of(app.fast_path, *times), certificate)
    if app.admin_asgi is not None:
        protocol = bounded_protocol(app.inflight, app.lifecycle, *times)
        config.admin = _config(settings, app.admin_asgi, protocol, certificate)
        config.admin.load()
        config.admin_address = parse_address(settings.admin_listen)
    return config


def _config(
    settings: Settings, asgi: Asgi, protocol: type[asyncio.Protocol], certificate: Certificate | None
) -> Config:
    config = Config(
        asgi,
        host=settings.host,
        port=settings.port,
        http=protocol,
        loop="auto",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=settings.log_level,
        access_log=False,
        ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_timeout_s)),
    )
    config.certificate, config.handshake_s = certificate, settings.receive_timeout_s
    return config


class Refused(Exception):
    """These settings cannot work here."""


def prepare(settings: Settings) -> Tracing | None:
    """Check the settings before anything listens; `Refused` says what it got and what it expected."""
    try:
        listing(settings.models)
    except OSError as error:
        reason = f"expected a folder of models: {said_of(error)}"
        raise Refused(f"--models: got {str(settings.models)!r}, {reason}") from error
    try:
        check_device(settings.device)
    except ProviderUnavailable as error:
        raise Refused(f"--{error}") from error
    try:
        check_payload_log(settings)
    except OSError as error:
        expected = "a file that can be written, or a URL"
        raise Refused(f"--payload-log: got {settings.payload_log!r}, expected {expected}: {error}") from error
    if settings.trust is not None:
        try:
            Trust.read(settings.trust)
        except KeyInvalid as error:
            raise Refused(f"--trust: {error}") from error
    try:
        Certificate.of(settings)
        if settings.api_keys is not None:
            ApiKeys(settings.api_keys)
    except (CertificateRefused, KeysRefused) as error:
        raise Refused(str(error)) from error
    try:
        return Tracing.from_environment(os.environ)
    except TracingUnavailable as error:
        raise Refused(f"OTEL_EXPORTER_OTLP_ENDPOINT is set: {error}") from error


def serve(settings: Settings) -> int:
    """Serve in this process until a signal; its exit status."""
    keep_arenas_few()
    keep_no_large_blocks()
    try:
        tracing = prepare(settings)
    except Refused as refusal:
        print(f"baton serve: {refusal}", file=sys.stderr)
        return 2
    set_up_logging(settings.log_level, settings.log_format)
    for line in settings.deprecations():
        log.warning("%s", line)
    app = create_app(settings, tracing)
    BatonServer(make_config(settings, app), app, settings.drain_delay_s).run()
    if tracing is not None:
        tracing.close()
    return 0
