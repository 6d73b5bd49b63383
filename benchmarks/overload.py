"""Three times the saturation rate, open loop, for a minute: good answers, their latency, and refusals.

The load generator has a core of its own, and the server the others, so that neither takes from the other. Saturation
is measured by the same generator on the same cores.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.asking import TIMEOUT_S, add_model, infer_target, load, loaded, models_folder
from benchmarks.graphs import HEAVY
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import Server, serving, wait_until_measured
from serving.bench.figures import Interval, Round, interval, over_rounds, summarize
from serving.bench.load import LoadTarget, drive
from serving.bench.search import find_saturation
from serving.bench.values import Closed, Open, Record

_TAIL_S = 10.0
"""The end of an overload, looked at by itself: a server may hold out for a while."""


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("overload", __doc__)
    add_model(cli)
    cli.add_argument("--p99-ms", type=float, default=200.0, help="the server's one knob")
    cli.add_argument("--times", type=float, default=3.0, help="of saturation")
    cli.add_argument("--rounds", type=int, default=2)
    cli.add_argument("--seconds", type=float, default=60.0, help="of overload in each round")
    cli.add_argument("--probe-seconds", type=float, default=5.0, help="of each probe for saturation")
    cli.add_argument(
        "--connections",
        type=int,
        default=512,
        help="of the open loop; a request over them waits in the client",
    )
    given = cli.parse_args()
    limit_ms = 2 * given.p99_ms
    saturated: list[Round] = []
    overloaded: list[Round] = []
    tails: list[float] = []
    memory: list[float] = []
    server_cpu: list[float] = []
    with (
        models_folder(given.models, given.model, HEAVY) as models,
        _apart(models, ("--p99-ms", str(given.p99_ms))) as (server, cores),
    ):
        target = infer_target(server, given.model, binary=True)
        start = load(target, Closed(64), given.probe_seconds).rate
        wait_until_measured(server)
        memory.append(server.rss_mib())
        for turn in range(given.rounds):
            full = _saturation(target, given, start)
            start = full.rate
            saturated.append(full)
            shape = Open(given.times * full.rate, given.connections)
            spent = server.cpu_s()
            record = asyncio.run(drive(target, shape, given.seconds, TIMEOUT_S, turn))
            server_cpu.append((server.cpu_s() - spent) / given.seconds)
            overloaded.append(summarize(record, limit_ms))
            tails.append(_good_at_the_end(record, limit_ms) / full.rate)
            memory.append(server.rss_mib())
    goodput = interval(
        [over.good / given.seconds / full.rate for over, full in zip(overloaded, saturated, strict=True)]
    )
    tail = interval(tails)
    p99 = over_rounds(overloaded, lambda each: each.latency_ms.p99)
    refused_p50 = over_rounds(overloaded, lambda each: each.refusal_ms.p50)
    refused_p99 = over_rounds(overloaded, lambda each: each.refusal_ms.p99)
    growth = max(memory[1:]) / memory[1]
    others = sum(
        n for each in overloaded for status, n in each.outcomes.items() if status not in ("200", "429")
    )
    rows = [
        ("cores of the server, and of the load generator", cores),
        ("answers a second at saturation", shown(over_rounds(saturated, lambda each: each.rate), "{:.0f}")),
        ("good answers over those", shown(goodput)),
        (f"the same in the last {_TAIL_S:g} s", shown(tail)),
        ("p99 of the accepted, ms", shown(p99, "{:.1f}")),
        ("p50 of the refusals, ms", shown(refused_p50, "{:.1f}")),
        ("p99 of the refusals, ms", shown(refused_p99, "{:.1f}")),
        ("refused, share", shown(over_rounds(overloaded, _refused), "{:.2f}")),
        (
            "p99 of the wait in the load generator, ms",
            shown(over_rounds(overloaded, lambda each: each.wait_ms.p99), "{:.1f}"),
        ),
        (
            "cores that the load generator took",
            shown(over_rounds(overloaded, lambda each: each.generator_cpu)),
        ),
        ("the same at saturation", shown(over_rounds(saturated, lambda each: each.generator_cpu))),
        ("cores that the server took", shown(interval(server_cpu))),
        ("memory, last rounds over first", f"{growth:.3f}"),
    ]
    claims = [
        _claim("goodput of saturation", "at least 0.9", goodput, goodput.median >= 0.9),
        _claim(f"the same in the last {_TAIL_S:g} s", "at least 0.9", tail, tail.median >= 0.9),
        _claim("p99 of the accepted, ms", f"at most {limit_ms:g}", p99, p99.median <= limit_ms),
        _claim("p50 of the refusals, ms", "at most 20", refused_p50, refused_p50.median <= 20),
        _claim("p99 of the refusals, ms", "at most 100", refused_p99, refused_p99.median <= 100),
        Claim(text="other outcomes than 200 and 429", expected="0", actual=str(others), kept=others == 0),
        Claim(text="memory is flat", expected="within 5 %", actual=f"{growth:.3f}", kept=growth <= 1.05),
    ]
    return write(given.out, (f"{given.times:g} times saturation", "median of rounds"), rows, claims)


@contextmanager
def _apart(models: Path, flags: Sequence[str]) -> Iterator[tuple[Server, str]]:
    """A server on all cores but one, which this process has, and both in words; a single core is shared."""
    cpus = sorted(os.sched_getaffinity(0))
    theirs, ours = cpus[:-1] or cpus, cpus[-1:]
    os.sched_setaffinity(0, theirs)  # the server inherits it, and plans for so many
    try:
        with serving(models, flags) as server:
            os.sched_setaffinity(0, ours)
            shared = "" if len(cpus) > 1 else ", shared"
            yield server, f"{len(theirs)}, {len(ours)}{shared}"
    finally:
        os.sched_setaffinity(0, cpus)


def _saturation(target: LoadTarget, given: argparse.Namespace, start: float) -> Round:
    """The highest rate of the open loop at which 99 % are answered within `--p99-ms`, as `baton bench` finds it."""

    async def probe(rate: float) -> Round:
        return await loaded(target, Open(rate, given.connections), given.probe_seconds, given.p99_ms)

    found = asyncio.run(find_saturation(probe, 0.99, start))
    rounds = [round_ for rate, sustained, round_ in found.probes if sustained and rate == found.rate]
    if not rounds:
        raise SystemExit("the server sustains not even the lowest rate that was tried")
    return rounds[-1]


def _good_at_the_end(record: Record, limit_ms: float) -> float:
    """Good answers a second to the requests that were due in the last `_TAIL_S`, or in all of a shorter load."""
    due, done = (np.frombuffer(column, np.float64) for column in (record.due, record.done))
    begin = max(record.began, record.ended - _TAIL_S)
    good = (np.frombuffer(record.statuses, np.int16) == 200) & ((done - due) * 1e3 <= limit_ms)
    return float((good & (due >= begin)).sum()) / (record.ended - begin)


def _refused(each: Round) -> float:
    return each.outcomes.get("429", 0) / max(1, each.requests)


def _claim(text: str, expected: str, actual: Interval, kept: bool) -> Claim:
    return Claim(text=text, expected=expected, actual=shown(actual), kept=kept)


if __name__ == "__main__":
    sys.exit(main())
