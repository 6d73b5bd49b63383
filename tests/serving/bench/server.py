"""A tiny HTTP server whose answers and stalls a test decides; it counts its requests."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

METADATA = {"name": "tiny", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]}


@dataclass
class Tiny:
    """Posts get the `statuses` in turn; the loop sleeps for `stall_s` at request `stall_at`."""

    statuses: tuple[int, ...] = (200,)
    delay_s: float = 0.0
    stall_at: int = -1
    stall_s: float = 0.0
    drop_at: int = -1
    close: bool = False
    posted: int = 0
    bodies: set[bytes] = field(default_factory=set)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = {line.partition(b":")[0].lower(): line.partition(b":")[2] for line in head.split(b"\r\n")}
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        status, answer = 200, json.dumps(METADATA).encode()
        if head.startswith(b"POST"):
            place = self.posted
            self.posted += 1
            self.bodies.add(body)
            if place == self.drop_at:
                return False
            if self.delay_s or place == self.stall_at:
                await asyncio.sleep(self.stall_s if place == self.stall_at else self.delay_s)
            status, answer = self.statuses[place % len(self.statuses)], b'{"error": "as told"}'
        connection = b"close" if self.close else b"keep-alive"
        writer.write(
            b"HTTP/1.1 %d Told\r\nContent-Length: %d\r\nConnection: %s\r\n"
            b'Server-Timing: queue;dur=1.5, run;dur=0.5, batch;desc="2"\r\n\r\n%s'
            % (status, len(answer), connection, answer)
        )
        return not self.close


@contextmanager
def running(tiny: Tiny) -> Iterator[Tiny]:
    """Serve on a free port, on a thread of its own, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(tiny.serve, "127.0.0.1", 0), loop).result()
    tiny.port = server.sockets[0].getsockname()[1]
    try:
        yield tiny
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def stop_listening(server: asyncio.Server) -> None:
    """Take no more connections; each that was taken has a task that has begun.

    asyncio leaves open what is accepted just before a server closes, and so does a task that is cancelled before it
    begins. A transport that is left so warns in some later test.
    """
    for listening in server.sockets:
        asyncio.get_running_loop().remove_reader(listening)
    for _ in range(
        3
    ):  # turns of the loop: an accepted connection has its transport, its task, and that begins
        await asyncio.sleep(0)
    server.close()


async def _stop(server: asyncio.Server) -> None:
    """End every connection before its loop is closed."""
    await stop_listening(server)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
