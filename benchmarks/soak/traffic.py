"""A day's traffic: clients that send the requests of the mix, and a tally of what came back."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.soak.client import Answer, Connection, ask
from benchmarks.soak.mix import CROWD, Manner, Request

MAX_REQUESTS_A_CONNECTION = 200
PAUSE_S = 0.03
"""Between the pieces of a slow client."""
_SAID = re.compile(rb'"(?:label|item)":"?([^",}]*)')
_SAMPLES = 5


@dataclass(slots=True)
class Tally:
    """Of the requests of one day."""

    asked: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    samples: list[str] = field(default_factory=list)
    """Of the wrong ones, the first."""
    succeeded: Counter[str] = field(default_factory=Counter)
    """By model, the answers of 200 that count as its successes."""
    invalid: Counter[str] = field(default_factory=Counter)
    """By model, those of 400 and 413."""
    rejected: Counter[str] = field(default_factory=Counter)
    """By model, those of 429."""
    left: Counter[str] = field(default_factory=Counter)
    """By model, the requests whose client went away: nobody knows how they ended."""

    def note(self, request: Request, answer: Answer) -> None:
        """Count an answer, right or wrong."""
        self.asked += 1
        self.statuses[answer.status] += 1
        if answer.status == 429:
            self.rejected[request.model] += 1
        elif request.counts and answer.status in (200, 400, 413):
            (self.succeeded if answer.status == 200 else self.invalid)[request.model] += 1

    def fault(self, request: Request, reason: str) -> None:
        """Count one that was not answered as it should."""
        self.wrong += 1
        if len(self.samples) < _SAMPLES:
            self.samples.append(f"{request.kind}: {reason}")


class Traffic:
    """Clients of one server. An answer that a request had once it must have again."""

    def __init__(self, port: int, connections: int) -> None:
        self._port, self._connections = port, connections
        self.away: set[str] = set()
        """Models that somebody has unloaded, so that they may answer 503."""
        self._crowds: Counter[str] = Counter()
        self._said: dict[int, bytes] = {}
        """The first label or item of each request's answer."""

    async def day(self, requests: Sequence[Request], seed: int) -> Tally:
        """Send all of them, and return when the last is answered."""
        tally, rest = Tally(), iter(requests)
        await asyncio.gather(
            *(self._client(rest, tally, random.Random(f"{seed} {n}")) for n in range(self._connections))
        )
        return tally

    async def _client(self, requests: Iterator[Request], tally: Tally, draw: random.Random) -> None:
        connection: Connection | None = None
        left = 0
        for request in requests:
            if connection is None or connection.closed or not left:
                if connection is not None:
                    connection.close()
                connection = await Connection.open(self._port)
                left = draw.randint(1, MAX_REQUESTS_A_CONNECTION)
            left -= 1
            try:
                stays = await self._send(connection, request, tally)
            except (OSError, TimeoutError) as error:
                tally.fault(request, f"{type(error).__name__}: {error}")
                stays = False
            if not stays:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    async def _send(self, connection: Connection, request: Request, tally: Tally) -> bool:
        """Whether the connection can be used again."""
        away, crowded = request.model in self.away, bool(self._crowds[request.model])
        match request.manner:
            case Manner.CUT | Manner.LEFT:
                connection.send(request.data)
                await asyncio.sleep(0.001)
                tally.asked += 1
                tally.left[request.model] += request.manner is Manner.LEFT
                return False
            case Manner.CROWD:
                await self._crowd(request, tally)
                return True
            case Manner.SLOW:
                for half in (request.data[: len(request.data) // 2], request.data[len(request.data) // 2 :]):
                    connection.send(half)
                    await asyncio.sleep(PAUSE_S)
            case Manner.WHOLE:
                connection.send(request.data)
        stays = True
        for _ in range(request.answers):
            answer = await connection.answer()
            self._check(request, answer, tally, away=away, crowded=crowded)
            # Of a body that is too large nothing was sent, so that the connection is of no more use.
            stays = 413 not in request.statuses and b"\nconnection: close" not in answer.head.lower()
        return stays

    async def _crowd(self, request: Request, tally: Tally) -> None:
        self._crowds[request.model] += 1
        away = request.model in self.away
        try:
            for answer in await asyncio.gather(*(ask(self._port, request.data) for _ in range(CROWD))):
                self._check(request, answer, tally, away=away, crowded=True)
        finally:
            self._crowds[request.model] -= 1

    def _check(self, request: Request, answer: Answer, tally: Tally, *, away: bool, crowded: bool) -> None:
        """`away`, `crowded`: as it was when the request was sent; it may have come about since."""
        tally.note(request, answer)
        status = answer.status
        right = (
            status in request.statuses
            or (status == 503 and (away or request.model in self.away))
            or (status == 429 and (crowded or bool(self._crowds[request.model])))
        )
        if not right:
            tally.fault(request, f"{status} {answer.body[:120]!r}")
        elif status == 200 and request.counts:
            found = _SAID.search(answer.body)
            said = found[1] if found else b""
            if self._said.setdefault(id(request), said) != said:
                tally.fault(request, f"said {said!r}, and {self._said[id(request)]!r} before")
