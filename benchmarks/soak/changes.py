"""What an operator does to the models in a day: publish, a bad version, take one away, unload and load."""

import asyncio
import itertools
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.soak.client import ask
from benchmarks.soak.mix import http
from benchmarks.soak.traffic import Traffic

WITHIN_S = 60.0
"""In which the server has to see a change."""
_GRAPHS = "*.onnx"


class NotSeen(Exception):
    """The server did not follow a change."""


class Changes:
    """Of a folder of models, one model a day; the others serve on as they are."""

    def __init__(self, models: Path, port: int, token: str, traffic: Traffic) -> None:
        self._models, self._port, self._traffic = models, port, traffic
        self._token = f"Authorization: Bearer {token}"
        self._names = sorted(folder.name for folder in models.iterdir())
        self._numbers = itertools.count(1 + max(int(version.name) for version in models.glob("*/*")))

    def model(self, day: int) -> str:
        """The one that changes on a day."""
        return self._names[day % len(self._names)]

    async def day(self, day: int, reloads: int) -> None:
        """A version is published and takes over, the old one goes, a bad one comes and goes; then reloads."""
        name = self.model(day)
        (old,) = (self._models / name).iterdir()
        new = next(self._numbers)
        await asyncio.to_thread(self._publish, old, new, whole=True)
        await self._wait(lambda states: states.get(f"{name}/{new}") == "READY", f"{name}/{new} serves")
        shutil.rmtree(old)
        bad = next(self._numbers)
        await asyncio.to_thread(self._publish, self._models / name / str(new), bad, whole=False)
        await self._wait(
            lambda states: states.get(f"{name}/{bad}") == "UNAVAILABLE", f"{name}/{bad} is refused"
        )
        shutil.rmtree(self._models / name / str(bad))
        expected = {f"{name}/{new}": "READY"}
        await self._wait(
            lambda states: {k: v for k, v in states.items() if k.startswith(f"{name}/")} == expected,
            f"{name} has {expected} alone",
        )
        for _ in range(reloads):
            self._traffic.away.add(name)
            await self._order(name, "unload")
            await self._order(name, "load")
            self._traffic.away.discard(name)

    def _publish(self, source: Path, version: int, *, whole: bool) -> None:
        """A copy of a bundle under a new number, in one step; cut short in its graphs unless `whole`."""
        hidden = source.parent / f".{version}"
        shutil.copytree(source, hidden)
        manifest = hidden / "manifest.json"
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": version}))
        if not whole:
            for graph in hidden.glob(_GRAPHS):
                graph.write_bytes(graph.read_bytes()[:-1000])
        hidden.rename(source.parent / str(version))

    async def _wait(self, condition: Callable[[dict[str, str]], bool], what: str) -> None:
        until = time.monotonic() + WITHIN_S
        while not condition(states := await self._states()):
            if time.monotonic() > until:
                raise NotSeen(f"not after {WITHIN_S:.0f} s: {what}; the index has {states}")
            await asyncio.sleep(0.1)

    async def _states(self) -> dict[str, str]:
        answer = await ask(self._port, http("POST", "/v2/repository/index", b"{}"))
        return {f"{entry['name']}/{entry['version']}": entry["state"] for entry in json.loads(answer.body)}

    async def _order(self, name: str, verb: str) -> None:
        answer = await ask(self._port, http("POST", f"/v2/repository/models/{name}/{verb}", b"", self._token))
        if answer.status != 200:
            raise NotSeen(f"{verb} of {name}: {answer.status} {answer.body[:200]!r}")
