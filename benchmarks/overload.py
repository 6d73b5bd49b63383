"""Three times the saturation rate, open loop: good answers, their latency, and refusals."""

import argparse
import asyncio
import sys

from benchmarks.asking import add_model, infer_target, load, loaded, models_folder
from benchmarks.graphs import HEAVY
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import serving
from serving.bench.figures import Interval, Round, interval, over_rounds
from serving.bench.load import LoadTarget
from serving.bench.search import find_saturation
from serving.bench.values import Closed, Open


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("overload", __doc__)
    add_model(cli)
    cli.add_argument("--p99-ms", type=float, default=200.0, help="the server's one knob")
    cli.add_argument("--times", type=float, default=3.0, help="of saturation")
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--seconds", type=float, default=5.0)
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
    memory: list[float] = []
    flags = ("--p99-ms", str(given.p99_ms))
    with models_folder(given.models, given.model, HEAVY) as models, serving(models, flags) as server:
        target = infer_target(server, given.model, binary=True)
        start = load(target, Closed(64), given.seconds).rate
        memory.append(server.rss_mib())
        for turn in range(given.rounds):
            full = _saturation(target, given, start)
            start = full.rate
            saturated.append(full)
            shape = Open(given.times * full.rate, given.connections)
            overloaded.append(load(target, shape, given.seconds, limit_ms, turn))
            memory.append(server.rss_mib())
    goodput = interval(
        [over.good / given.seconds / full.rate for over, full in zip(overloaded, saturated, strict=True)]
    )
    p99 = over_rounds(overloaded, lambda each: each.latency_ms.p99)
    refused = over_rounds(overloaded, lambda each: each.refusal_ms.p99)
    growth = max(memory[1:]) / memory[1]
    others = sum(
        n for each in overloaded for status, n in each.outcomes.items() if status not in ("200", "429")
    )
    rows = [
        ("answers a second at saturation", shown(over_rounds(saturated, lambda each: each.rate), "{:.0f}")),
        ("good answers over those", shown(goodput)),
        ("p99 of the accepted, ms", shown(p99, "{:.1f}")),
        ("p99 of the refusals, ms", shown(refused, "{:.1f}")),
        ("refused, share", shown(over_rounds(overloaded, _refused), "{:.2f}")),
        (
            "cores that the load generator took",
            shown(over_rounds(overloaded, lambda each: each.generator_cpu)),
        ),
        ("the same at saturation", shown(over_rounds(saturated, lambda each: each.generator_cpu))),
        ("memory, last rounds over first", f"{growth:.3f}"),
    ]
    claims = [
        _claim("goodput of saturation", "at least 0.9", goodput, goodput.median >= 0.9),
        _claim("p99 of the accepted, ms", f"at most {limit_ms:g}", p99, p99.median <= limit_ms),
        _claim("p99 of the refusals, ms", "at most 50", refused, refused.median <= 50),
        Claim(text="other outcomes than 200 and 429", expected="0", actual=str(others), kept=others == 0),
        Claim(text="memory is flat", expected="within 5 %", actual=f"{growth:.3f}", kept=growth <= 1.05),
    ]
    return write(given.out, (f"{given.times:g} times saturation", "median of rounds"), rows, claims)


def _saturation(target: LoadTarget, given: argparse.Namespace, start: float) -> Round:
    """The highest rate of the open loop at which 99 % are answered within `--p99-ms`, as `baton bench` finds it."""

    async def probe(rate: float) -> Round:
        return await loaded(target, Open(rate, given.connections), given.seconds, given.p99_ms)

    found = asyncio.run(find_saturation(probe, 0.99, start))
    rounds = [round_ for rate, sustained, round_ in found.probes if sustained and rate == found.rate]
    if not rounds:
        raise SystemExit("the server sustains not even the lowest rate that was tried")
    return rounds[-1]


def _refused(each: Round) -> float:
    return each.outcomes.get("429", 0) / max(1, each.requests)


def _claim(text: str, expected: str, actual: Interval, kept: bool) -> Claim:
    return Claim(text=text, expected=expected, actual=shown(actual), kept=kept)


if __name__ == "__main__":
    sys.exit(main())
