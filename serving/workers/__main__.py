"""A worker's process, which the supervisor starts: the server, but its connections are handed to it."""

import asyncio
import contextlib
import os
import socket
import sys
from types import FrameType

from serving.app import Application, create_app
from serving.engine.memory import keep_arenas_few, keep_no_large_blocks
from serving.observe.logs import set_up_logging
from serving.server import LINGER_S, TICKS_A_SECOND, BatonServer, Config, Refused, make_config, prepare
from serving.settings import read_settings
from serving.workers.counts import SharedCounts
from serving.workers.messages import Closed, Leaving, Refusal, Stuck, frame
from serving.workers.profiles import SharedProfiles
from serving.workers.worker_group import WorkerGroup, WorkerId

_AT_ONCE = 16  # connections taken in before the loop turns to requests again
_FULL_S = 0.1  # until the next try where no descriptor is left


class WorkerServer(BatonServer):
    """The server behind the supervisor's listener: connections come over `deals`, and their end is its own."""

    def __init__(
        self, config: Config, app: Application, worker_group: WorkerGroup, deals: socket.socket
    ) -> None:
        super().__init__(config, app, drain_delay_s=0.0)
        deals.setblocking(False)
        self._worker_group, self._deals = worker_group, deals
        self._taken = self._told_closed = self._signals = 0
        self._told_leaving = self._told_stuck = False
        self._arriving: set[asyncio.Task[None]] = set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal's handler: unready at once, and closed when the supervisor has dealt the last connection."""
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + sig)
        self._app.lifecycle.drain()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's, listening nowhere; then take the connections that were dealt meanwhile."""
        await super().startup([])
        asyncio.get_running_loop().add_reader(self._deals, self._take)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: tell the supervisor the counts by which it deals fairly."""
        closed = self._taken - len(self._arriving) - len(self.server_state.connections)
        if closed > self._told_closed:
            self._told_closed = closed
            self._worker_group.tell(Closed(closed))
        if counter % TICKS_A_SECOND == 0 and not self._told_stuck and (reason := self._app.stuck()):
            self._told_stuck = True
            self._worker_group.tell(Stuck(reason))
        if self._app.lifecycle.draining and not self._told_leaving:
            self._told_leaving = True
            self._worker_group.tell(Leaving())
        return await super().on_tick(counter)

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            if not self.descriptors.are_left():  # one that is sent now would be lost
                self._take_later()
                return
            try:
                sign, descriptors, _, _ = socket.recv_fds(self._deals, 1, 1)
            except BlockingIOError:
                return
            if not sign:  # the last one was dealt, or the supervisor has gone
                asyncio.get_running_loop().remove_reader(self._deals)
                self._app.lifecycle.drain()
                self.should_exit = True
                return
            self._taken += 1
            task = asyncio.ensure_future(self._welcome(socket.socket(fileno=descriptors[0])))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    def _take_later(self) -> None:
        """Let the connections wait where the supervisor finds them, should this worker end."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._deals)
        if self._app.lifecycle.draining:
            self.should_exit = True
        else:
            loop.call_later(_FULL_S, loop.add_reader, self._deals, self._take)

    async def _welcome(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        with contextlib.suppress(OSError):  # it has gone again, or could not agree on TLS
            await self.meet(connection, self.handshake_s())

    async def _close_listener(self) -> None:
        """The supervisor did; the last connections are let in, unless one never ends its handshake."""
        if self._arriving:
            await asyncio.wait(self._arriving, timeout=LINGER_S)


def main(arguments: list[str]) -> int:
    """Serve until told to stop; its exit status. The first five arguments are the supervisor's, the rest the user's."""
    keep_arenas_few()
    keep_no_large_blocks()
    control, deals = (socket.socket(fileno=int(number)) for number in arguments[:2])
    counts = SharedCounts(int(arguments[2]))
    worker_id = WorkerId(*map(int, arguments[3:5]))
    settings = read_settings(arguments[5:])
    try:
        tracing = prepare(settings)
    except Refused as refusal:
        control.sendall(frame(Refusal(str(refusal), 2)))
        return 2
    set_up_logging(settings.log_level, settings.log_format, f"worker {worker_id.number}")
    profiles = SharedProfiles(settings.profile_cache)
    worker_group = WorkerGroup(control, worker_id, profiles)
    app = create_app(settings, tracing, worker_group.join, profiles, counts)
    WorkerServer(make_config(settings, app), app, worker_group, deals).run()
    if tracing is not None:
        tracing.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
