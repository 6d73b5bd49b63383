"""Memory of large requests is given back behind them, not more often than every few seconds, and off the loop."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from serving.engine import tidying
from serving.engine.inflight import LARGE, InflightBytes
from serving.engine.tidying import EVERY_S, Tidying


class Session:
    def __init__(self) -> None:
        self.threads: list[int] = []

    def give_back(self) -> None:
        self.threads.append(threading.get_ident())


def large_request_ends(inflight: InflightBytes) -> None:
    inflight.hold(LARGE + 1, "body").release()


async def settled() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        await task


def test_it_follows_a_large_request_and_no_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    inflight, session, trimmed = InflightBytes(1 << 30), Session(), list[int]()
    monkeypatch.setattr(tidying, "trim_heap", lambda: trimmed.append(threading.get_ident()))
    now = [0.0]
    model = cast("Any", SimpleNamespace(predictor=SimpleNamespace(session=session)))

    async def look() -> None:
        made = Tidying(inflight, lambda: [model], lambda: now[0])
        inflight.hold(1000, "body").release()
        made.look()
        await settled()
        assert not trimmed
        large_request_ends(inflight)
        made.look()
        made.look()
        await settled()
        assert len(trimmed) == len(session.threads) == 1
        large_request_ends(inflight)
        now[0] = EVERY_S / 2
        made.look()
        await settled()
        assert len(trimmed) == 1, "too soon"
        now[0] = EVERY_S
        made.look()
        await settled()
        assert len(trimmed) == 2

    asyncio.run(look())
    assert threading.get_ident() not in trimmed + session.threads


def test_a_session_that_fails_is_logged_and_the_next_time_comes(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflight, now = InflightBytes(1 << 30), [0.0]
    monkeypatch.setattr(tidying, "trim_heap", lambda: None)

    class Broken:
        def give_back(self) -> None:
            raise RuntimeError("no")

    model = cast("Any", SimpleNamespace(predictor=SimpleNamespace(session=Broken())))

    async def look() -> None:
        made = Tidying(inflight, lambda: [model], lambda: now[0])
        for second in (0.0, EVERY_S):
            now[0] = second
            large_request_ends(inflight)
            made.look()
            await settled()

    asyncio.run(look())
    assert len(caplog.records) == 2
