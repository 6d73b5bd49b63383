"""A benchmark asks each server once, then drives all of them by turns, each round in the other order."""

import asyncio

import pytest

from serving.bench.load import LoadTarget
from serving.bench.options import read_options
from serving.bench.runner import bench, prepare
from serving.bench.values import Load, Record
from tests.serving.bench.server import Tiny, running


def test_every_other_round_drives_the_servers_in_the_other_order(monkeypatch: pytest.MonkeyPatch) -> None:
    driven: list[tuple[int, str, int]] = []

    async def drive(
        target: LoadTarget, load: Load, duration_s: float, timeout_s: float, seed: int = 0
    ) -> Record:
        driven.append((target.url.port or 0, str(load), seed))
        return Record(began=0.0, ended=1.0)

    monkeypatch.setattr("serving.bench.runner.drive", drive)
    with running(Tiny()) as first, running(Tiny()) as second:
        flags = ["--model", "tiny", "--rounds", "2", "--connections", "1,2", "--warmup", "0", "--seed", "7"]
        options = read_options([first.url, second.url, *flags])
        targets, asked = prepare(options)
        result = asyncio.run(bench(options, targets, asked))
    one, other = first.port, second.port
    closed = [f"closed, {number} connections" for number in (1, 2)]
    assert driven == [
        (one, closed[0], 7), (other, closed[0], 7), (one, closed[1], 7), (other, closed[1], 7),
        (other, closed[0], 8), (one, closed[0], 8), (other, closed[1], 8), (one, closed[1], 8),
    ]  # fmt: skip
    assert [server.name for server in result.servers] == ["tiny", "tiny"]
    assert result.asked.startswith("/v2/models/tiny/infer, ")


def test_the_warm_up_drives_each_server_over_the_most_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    warmed: list[tuple[str, float]] = []

    async def drive(
        target: LoadTarget, load: Load, duration_s: float, timeout_s: float, seed: int = 0
    ) -> Record:
        warmed.append((str(load), duration_s))
        return Record(began=0.0, ended=1.0)

    monkeypatch.setattr("serving.bench.runner.drive", drive)
    with running(Tiny()) as tiny:
        flags = ["--model", "tiny", "--connections", "1,8", "--rate", "5", "--warmup", "0.5", "--rounds", "1"]
        options = read_options([tiny.url, *flags])
        targets, asked = prepare(options)
        asyncio.run(bench(options, targets, asked))
    assert warmed == [("closed, 8 connections", 0.5), ("open, 5/s, 8 connections", 5.0)]
