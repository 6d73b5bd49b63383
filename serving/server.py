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
from serving.app import Application, create_app
from serving.engine.memory import keep_arenas_few
from serving.http.bounds import SWEEP_S
from serving.http.http1 import BoundedProtocol
from serving.http.protocol import protocol_of
from serving.http.tls import Certificate, CertificateRefused
from serving.listening import BACKLOG, EVERY_ADDRESS, Descriptors, listen, url_of
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
    """uvicorn's configuration, and that of TLS: the certificate that the server looks after (None without TLS)."""

    certificate: Certificate | None = None
    handshake_s: float = 30.0


class BatonServer(uvicorn.Server):
    """uvicorn, stopped in steps: unready at once, then closed to new connections, then empty, then gone.

    Traffic still arrives for a while after SIGTERM (triton server issue 6230), so it is answered for
    `drain_delay_s`, and liveness stays. A second signal ends the process where it stands.
    """

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
        await super().startup([])
        if sockets is None:
            try:
                self.servers = [await self._listen()]
            except OSError as error:
                log.error("--host %s --port %d: %s", self.config.host, self.config.port, error)
                await self.lifespan.shutdown()
                sys.exit(STARTUP_FAILURE)
            self._log_started_message(self.servers[0].sockets)
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
        if self._certificate is not None and counter % TICKS_A_SECOND == 0:
            self._certificate.refresh()
        return await super().on_tick(counter)

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
        loop = asyncio.get_running_loop()
        copies: list[int] = []
        with contextlib.suppress(OSError):  # no descriptor is left, so the backlog is lost
            copies += (os.dup(listening.fileno()) for server in self.servers for listening in server.sockets)
        for server in self.servers:
            server.close()
        accepted: list[socket.socket] = []
        for copy in copies:
            with socket.socket(fileno=copy) as listening:
                listening.setblocking(False)
                with contextlib.suppress(OSError):  # there are no more, or no descriptor for one
                    while True:
                        accepted.append(listening.accept()[0])
        tls = self.config.ssl
        # A client that never ends its handshake must not hold up the others, nor the process.
        limit_s = None if tls is None else LINGER_S
        meetings = [
            loop.connect_accepted_socket(self._protocol, connection, ssl=tls, ssl_handshake_timeout=limit_s)
            for connection in accepted
        ]
        await asyncio.gather(*meetings, return_exceptions=True)

    def _protocol(self) -> asyncio.Protocol:
        """As uvicorn makes one for each connection."""
        return self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
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
    config = Config(
        app.asgi,
        host=settings.host,
        port=settings.port,
        http=protocol_of(app.fast_path, settings.keep_alive_s, settings.receive_timeout_s),
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
    try:
        Certificate.of(settings)
    except CertificateRefused as error:
        raise Refused(str(error)) from error
    try:
        return Tracing.from_environment(os.environ)
    except TracingUnavailable as error:
        raise Refused(f"OTEL_EXPORTER_OTLP_ENDPOINT is set: {error}") from error


def serve(settings: Settings) -> int:
    """Serve in this process until a signal; its exit status."""
    keep_arenas_few()
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
