"""A whole benchmark as a file, and as a table to read."""

from collections.abc import Callable, Iterator

from pydantic import BaseModel, ConfigDict

from serving.bench.figures import Interval, Round, over_rounds, ratio
from serving.bench.machine import Machine

_BUSY = 0.9  # cores: a load generator that takes more of its one core measures itself


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Server(_Part):
    """A server that was driven."""

    url: str
    name: str
    """The name and version in its metadata; empty if it has none."""


class Series(_Part):
    """One server under one load, over all rounds."""

    server: int
    """Its index in `servers`."""
    load: str
    rate: float | None
    """Arrivals a second; None in closed loop."""
    connections: int
    rounds: tuple[Round, ...]
    answers_per_s: Interval
    vs_first: Interval
    """Answers a second over those of the first server under this load, round by round."""
    p50_ms: Interval
    p99_ms: Interval


class Probe(_Part):
    """One step of a search for a server's saturation."""

    search: int
    """Which of the rounds it belongs to."""
    rate: float
    sustained: bool
    round: Round


class Saturated(_Part):
    """The highest rate that a server sustained, over all searches."""

    server: int
    rate: Interval
    vs_first: Interval
    """Over that of the first server, search by search."""
    share: float
    """Of the requests, that had to be answered within the limit."""
    probes: tuple[Probe, ...]


class Result(_Part):
    """The file that `--json` writes."""

    machine: Machine
    servers: tuple[Server, ...]
    asked: str
    """The path, and the bytes of a body."""
    duration_s: float
    limit_ms: float | None = None
    """Within which an answer is good, if a limit was given."""
    series: tuple[Series, ...] = ()
    saturation: tuple[Saturated, ...] = ()


def make_series(
    server: int,
    load: str,
    rate: float | None,
    connections: int,
    rounds: tuple[Round, ...],
    first: tuple[Round, ...],
) -> Series:
    """The rounds of one server under one load, beside those of the first server."""
    return Series(
        server=server,
        load=load,
        rate=rate,
        connections=connections,
        rounds=rounds,
        answers_per_s=over_rounds(rounds, lambda each: each.rate),
        vs_first=ratio(rounds, first, lambda each: each.rate),
        p50_ms=over_rounds(rounds, lambda each: each.latency_ms.p50),
        p99_ms=over_rounds(rounds, lambda each: each.latency_ms.p99),
    )


def table(result: Result) -> str:
    """The result in Markdown, with a warning where it may mislead."""
    machine = result.machine
    load = "" if machine.load_average is None else f", load average {machine.load_average[0]:.2f}"
    lines = [
        f"{machine.cpu}, {machine.usable_cpus} of {machine.cores} CPUs{load}; POST {result.asked}",
        *(f"[{number}] {server.url} {server.name}".rstrip() for number, server in enumerate(result.servers)),
        "",
    ]
    if result.series:
        good = "" if result.limit_ms is None else f" in {result.limit_ms:g} ms |"
        lines += [f"| server | load | answers/s | vs [0] | p50 ms | p99 ms |{good} outcomes | Server-Timing, ms |",
                  f"|--:|---|--:|--:|--:|--:|{'--:|' if good else ''}---|---|"]  # fmt: skip
        lines += [_row(series, good=bool(good)) for series in result.series]
    if result.saturation:
        lines += ["| server | sustained/s | vs [0] | limit | probes |", "|--:|--:|--:|---|---|"]
        lines += [_saturation_row(found, result.limit_ms) for found in result.saturation]
    return "\n".join([*lines, *_warnings(result)])


def _row(series: Series, *, good: bool) -> str:
    outcomes: dict[str, int] = {}
    for round_ in series.rounds:
        for name, count in round_.outcomes.items():
            outcomes[name] = outcomes.get(name, 0) + count
    stages = series.rounds[-1].server_ms
    cells = (
        f"[{series.server}]",
        series.load,
        _interval(series.answers_per_s, "{:.0f}"),
        _interval(series.vs_first, "{:.2f}"),
        _interval(series.p50_ms, "{:.2f}"),
        _interval(series.p99_ms, "{:.2f}"),
        *([_interval(over_rounds(series.rounds, _good_share), "{:.1%}")] if good else []),
        ", ".join(f"{name}: {count}" for name, count in outcomes.items()),
        ", ".join(f"{name} {value:.3f}" for name, value in stages.items()),
    )
    return f"| {' | '.join(cells)} |"


def _good_share(each: Round) -> float:
    return each.good / max(1, each.requests)


def _saturation_row(found: Saturated, limit_ms: float | None) -> str:
    """A probe that was not sustained carries an exclamation mark."""
    searches: dict[int, list[str]] = {}
    for probe in found.probes:
        searches.setdefault(probe.search, []).append(f"{probe.rate:.0f}{'' if probe.sustained else '!'}")
    cells = (
        f"[{found.server}]",
        _interval(found.rate, "{:.0f}"),
        _interval(found.vs_first, "{:.2f}"),
        f"{found.share:.0%} in {limit_ms:g} ms",
        "; ".join(", ".join(rates) for rates in searches.values()),
    )
    return f"| {' | '.join(cells)} |"


def _interval(value: Interval, form: str) -> str:
    shown = form.format(value.median)
    if value.low is None or value.high is None:
        return shown
    return f"{shown} ({form.format(value.low)}–{form.format(value.high)})"


def _warnings(result: Result) -> list[str]:
    rounds = list(_rounds(result))
    checks: tuple[tuple[Callable[[Round], bool], str], ...] = (
        (
            lambda each: each.generator_cpu > _BUSY,
            "the load generator used its whole core: the server may be faster than these figures",
        ),
        (
            lambda each: any(name in each.outcomes for name in ("timeout", "disconnected", "refused")),
            "some requests were not answered: see outcomes",
        ),
    )
    return [f"warning: {text}" for wrong, text in checks if any(wrong(each) for each in rounds)]


def _rounds(result: Result) -> Iterator[Round]:
    for series in result.series:
        yield from series.rounds
    for found in result.saturation:
        yield from (probe.round for probe in found.probes)
