"""The order of a benchmark: one request to each server, a warm-up, then rounds by turns."""

import sys
from collections.abc import Sequence

from serving.bench.figures import Round, interval, ratio_of, summarize
from serving.bench.load import LoadTarget, drive
from serving.bench.machine import fingerprint
from serving.bench.options import Options
from serving.bench.request import (
    Body,
    build_target,
    check,
    file_body,
    parse_url,
    random_bodies,
    read_metadata,
    read_server,
)
from serving.bench.result import Probe, Result, Saturated, Series, Server, make_series
from serving.bench.search import Saturation, find_saturation
from serving.bench.values import Closed, Load, Open


async def bench(options: Options, targets: Sequence[LoadTarget], asked: str) -> Result:
    """Measure; `BenchError` if a server cannot be reached."""
    machine = fingerprint()
    servers = tuple(
        Server(url=target.url.geturl(), name=read_server(target.url, options.timeout_s)) for target in targets
    )
    await _warm_up(options, targets)
    result = Result(
        machine=machine,
        servers=servers,
        asked=asked,
        duration_s=options.duration_s,
        limit_ms=options.limit_ms,
    )
    if options.find_rate:
        return result.model_copy(update={"saturation": await _saturations(options, targets)})
    return result.model_copy(update={"series": await _by_turns(options, targets)})


def prepare(options: Options) -> tuple[list[LoadTarget], str]:
    """Targets whose servers answer the request rightly, and the request in words; `BenchError` if one does not.

    It blocks: no load is running yet.
    """
    urls = [parse_url(text) for text in options.urls]
    if options.data is not None:
        bodies = [file_body(options.data, options.content_type)]
        path = options.path or f"/v1/models/{options.model}:predict"
    else:
        metadata = read_metadata(urls[0], options.model, options.timeout_s)
        bodies = random_bodies(
            metadata, options.rows, options.shapes, binary=options.binary, seed=options.seed
        )
        path = options.path or f"/v2/models/{options.model}/infer"
    targets = [build_target(url, path, bodies, options.headers) for url in urls]
    for target in targets:
        check(target, path, bodies[0], options.headers, options.timeout_s)
    return targets, f"{path}, {_size(bodies)} bytes"


def _size(bodies: Sequence[Body]) -> int:
    return sum(len(body.data) for body in bodies) // len(bodies)


async def _warm_up(options: Options, targets: Sequence[LoadTarget]) -> None:
    if options.warmup_s:
        for target in targets:
            await drive(target, Closed(max(options.connections)), options.warmup_s, options.timeout_s)


async def _by_turns(options: Options, targets: Sequence[LoadTarget]) -> tuple[Series, ...]:
    """Each round drives every server under one load before the next load, and back again the round after."""
    loads = options.loads()
    rounds: dict[tuple[int, int], list[Round]] = {}
    for turn in range(options.rounds):
        for index, load in enumerate(loads):
            order = list(enumerate(targets))
            for number, target in order if turn % 2 == 0 else reversed(order):
                _tell(f"round {turn + 1} of {options.rounds}: {target.url.geturl()}, {load}")
                round_ = await _round(options, target, load, options.seed + turn)
                rounds.setdefault((index, number), []).append(round_)
    return tuple(
        make_series(
            number,
            str(load),
            load.rate if isinstance(load, Open) else None,
            load.connections,
            tuple(rounds[index, number]),
            tuple(rounds[index, 0]),
        )
        for index, load in enumerate(loads)
        for number in range(len(targets))
    )


async def _saturations(options: Options, targets: Sequence[LoadTarget]) -> tuple[Saturated, ...]:
    """A search of every server in each round."""
    rates: list[list[float]] = [[] for _ in targets]
    probes: list[list[Probe]] = [[] for _ in targets]
    for turn in range(options.rounds):
        for number, target in enumerate(targets):
            found = await _search(options, target, turn, rates[number][-1] if turn else 0.0)
            rates[number].append(found.rate)
            probes[number] += [
                Probe(search=turn, rate=rate, sustained=kept, round=round_)
                for rate, kept, round_ in found.probes
            ]
    return tuple(
        Saturated(
            server=number,
            rate=interval(rates[number]),
            vs_first=ratio_of(rates[number], rates[0]),
            share=options.share,
            probes=tuple(probes[number]),
        )
        for number in range(len(targets))
    )


async def _search(options: Options, target: LoadTarget, turn: int, known: float) -> Saturation:
    """Begin at the rate of the search before, or near the rate of the closed loop."""
    connections = max(options.connections)

    async def probe(rate: float) -> Round:
        load = Open(rate, connections)
        _tell(f"search {turn + 1} of {options.rounds}: {target.url.geturl()}, {load}")
        return await _round(options, target, load, options.seed + turn)

    if not known:
        known = 0.9 * (await _round(options, target, Closed(connections), options.seed)).rate
    return await find_saturation(probe, options.share, max(1.0, known))


def _tell(text: str) -> None:
    """Show the progress on a terminal; each line is written over by the next."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


async def _round(options: Options, target: LoadTarget, load: Load, seed: int) -> Round:
    record = await drive(target, load, options.duration_s, options.timeout_s, seed)
    return summarize(record, options.limit_ms)
