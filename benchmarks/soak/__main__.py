"""31 days of mixed traffic in fast motion: every kind of request, four models, and changes of models every day."""

import argparse
import asyncio
import secrets
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.faults.bench import ROOT
from benchmarks.result import Claim, Curve, Plot, parser, write
from benchmarks.server import Server, serving, wait_until_measured
from benchmarks.soak.changes import Changes
from benchmarks.soak.client import ask
from benchmarks.soak.mix import draws, http, mix
from benchmarks.soak.traffic import Tally, Traffic
from serving.bench.figures import Interval

SETTLED_DAYS = 4
"""Each of four models has been published, refused, unloaded and loaded once by then, and every pool has its size."""
_FLAGS = ("--poll-s", "0.5", "--max-queue-rows", "512", "--drift-window-rows", "200")
_OUTCOMES = ("success", "invalid", "rejected")


@dataclass(frozen=True, slots=True)
class Reading:
    """At the end of a day, when nothing is asked; of all processes together."""

    asked: int
    rss_mib: float
    descriptors: int
    threads: int


@dataclass(slots=True)
class Month:
    """Of one number of workers."""

    readings: list[Reading]
    statuses: Counter[int]
    wrong: int
    samples: list[str]
    compared: int
    differing: list[str]
    """Counts of /metrics that are not as the clients saw it."""
    seconds: float


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("soak", __doc__)
    cli.add_argument("--requests", type=int, default=2_000_000, help="for each number of workers")
    cli.add_argument("--days", type=int, default=31)
    cli.add_argument(
        "--reloads", type=int, default=200, help="times that a model is unloaded and loaded, over all days"
    )
    cli.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    cli.add_argument("--connections", type=int, default=24)
    cli.add_argument("--seed", type=int, default=0)
    given = cli.parse_args()
    months = {workers: uvloop.run(_month(given, workers)) for workers in given.workers}
    rows, claims = [], []
    for workers, month in months.items():
        named = "1 worker" if workers == 1 else f"{workers} workers"
        rows += _rows(named, month, given.days)
        claims += _claims(named, month, min(SETTLED_DAYS, given.days))
    notes = [_note(workers, month) for workers, month in months.items()]
    return write(given.out, ("after", "requests", "RSS MiB", "descriptors", "threads"), rows, claims, notes,
                 _plot(months))  # fmt: skip


async def _month(given: argparse.Namespace, workers: int) -> Month:
    token = secrets.token_hex()
    month, began = Month([], Counter(), 0, [], 0, [], 0.0), time.monotonic()
    kinds = mix(ROOT / "models", given.seed)
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(shutil.copytree(ROOT / "models", Path(scratch) / "models"))
        # One measurement of each graph, since a plan of more threads is no growth.
        measured = ("--profile-cache", str(Path(scratch) / "profiles"))
        flags = (*_FLAGS, *measured, "--workers", str(workers), "--admin-token", token)
        with serving(models, flags) as server:
            port = server.url.port or 0
            traffic = Traffic(port, given.connections)
            changes = Changes(models, port, token, traffic)
            before = await _metrics(port)
            for day in range(given.days):
                requests = draws(kinds, given.seed * 1000 + day, given.requests // given.days)
                reloads = given.reloads * (day + 1) // given.days - given.reloads * day // given.days
                tally, _ = await asyncio.gather(traffic.day(requests, day), changes.day(day, reloads))
                await _quiet(server)
                after = await _metrics(port)
                _compare(month, tally, before, after, but=changes.model(day))
                before = after
                _add(month, tally)
                month.readings.append(_reading(server, month))
                print(f"{workers} workers, day {day + 1}: {month.readings[-1]}, {tally.wrong} wrong {tally.samples}",
                      file=sys.stderr, flush=True)  # fmt: skip
    month.seconds = time.monotonic() - began
    return month


async def _quiet(server: Server) -> None:
    """Until nothing is under way and every model is measured, so that readings are of the same state."""
    port = server.url.port or 0
    async with asyncio.timeout(60):
        while (await _metrics(port))["baton_in_flight"]:  # noqa: ASYNC110 - it is another process's
            await asyncio.sleep(0.1)
    await asyncio.to_thread(wait_until_measured, server)
    await asyncio.sleep(1.0)  # the memory of a model that was measured is given back on a thread


async def _metrics(port: int) -> Counter[str]:
    """The sum of each metric's samples, and of `baton_requests_total` by model and outcome."""
    answer = await ask(port, http("GET", "/metrics"))
    found: Counter[str] = Counter()
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            found[sample.name] += round(sample.value)
            if sample.name == "baton_requests_total":
                found[f"{sample.labels['model']} {sample.labels['outcome']}"] += round(sample.value)
    return found


def _compare(month: Month, tally: Tally, before: Counter[str], after: Counter[str], *, but: str) -> None:
    """The day's counts of every model but the one that changed, whose counts went with its versions."""
    for model in sorted({*tally.succeeded, *tally.invalid} - {but}):
        for outcome, seen in zip(_OUTCOMES, (tally.succeeded, tally.invalid, tally.rejected), strict=True):
            month.compared += 1
            name = f"{model} {outcome}"
            counted = after[name] - before[name]
            unknown = tally.left[model] if outcome == "success" else 0
            if not seen[model] <= counted <= seen[model] + unknown:
                month.differing.append(f"{name}: {counted} in /metrics, {seen[model]} seen")


def _add(month: Month, tally: Tally) -> None:
    month.statuses += tally.statuses
    month.wrong += tally.wrong
    month.samples += tally.samples


def _reading(server: Server, month: Month) -> Reading:
    return Reading(month.statuses.total(), server.rss_mib(), server.descriptors(), server.threads())


def _rows(named: str, month: Month, days: int) -> list[tuple[str, ...]]:
    shown = sorted({1, SETTLED_DAYS, 8, 16, 24, days} & set(range(1, days + 1)))
    return [
        (
            f"{named}, day {day}",
            f"{one.asked:,}",
            f"{one.rss_mib:.0f}",
            str(one.descriptors),
            str(one.threads),
        )
        for day, one in ((day, month.readings[day - 1]) for day in shown)
    ]


def _claims(named: str, month: Month, settled: int) -> list[Claim]:
    first, last = month.readings[settled - 1], month.readings[-1]
    growth = last.rss_mib / first.rss_mib
    differing = len(month.differing)
    return [
        Claim(text=f"{named}: RSS after the last day over that after day {settled}", expected="at most 1.05",
              actual=f"{growth:.3f}", kept=growth <= 1.05),
        Claim(text=f"{named}: descriptors, day {settled} and the last", expected=str(first.descriptors),
              actual=str(last.descriptors), kept=last.descriptors <= first.descriptors),
        Claim(text=f"{named}: threads, day {settled} and the last", expected=str(first.threads),
              actual=str(last.threads), kept=last.threads <= first.threads),
        Claim(text=f"{named}: requests not answered as they should be", expected="0", actual=str(month.wrong),
              kept=month.wrong == 0),
        Claim(text=f"{named}: counts of /metrics that differ from the clients', of {month.compared}", expected="0",
              actual=str(differing), kept=differing == 0),
    ]  # fmt: skip


def _note(workers: int, month: Month) -> str:
    statuses = ", ".join(f"{count:,} × {status}" for status, count in sorted(month.statuses.items()))
    rate = month.statuses.total() / month.seconds
    faults = "".join(f" Wrong: {one}." for one in (*month.samples[:3], *month.differing[:3]))
    return (
        f"`--workers {workers}`: {statuses}; {rate:,.0f} requests/s with all that was done between.{faults}"
    )


def _plot(months: dict[int, Month]) -> Plot:
    panels = {"RSS, MiB": "rss_mib", "descriptors": "descriptors", "threads": "threads"}
    curves = [
        _curve(panel, workers, [float(getattr(one, name)) for one in month.readings])
        for panel, name in panels.items()
        for workers, month in months.items()
    ]
    return Plot(x="day", curves=tuple(curves), linear=True)


def _curve(panel: str, workers: int, values: Sequence[float]) -> Curve:
    label = f"{workers} worker{'s' * (workers > 1)}"
    days = tuple(float(day) for day in range(1, len(values) + 1))
    return Curve(panel=panel, label=label, x=days, y=tuple(Interval(median=value) for value in values))


if __name__ == "__main__":
    sys.exit(main())
