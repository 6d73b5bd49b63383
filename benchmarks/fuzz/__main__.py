"""Inputs by the million: streams by both ways into the server, bodies through the codecs, calls of every route.

An input is made from the seed and its number alone; `--repeat NUMBER` runs one again, and shrinks it.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise

from benchmarks.fuzz import codec, differential, routes
from benchmarks.fuzz.watch import Report
from benchmarks.result import FOLDER, Claim, parser, write

_COLUMNS = ("inputs", "number", "seconds", "a second", "faults", "MB after 5 %", "MB at the end")
_MAX_GROWTH = 0.05

Share = Callable[[int, int, int], Report]
Repeat = Callable[[int, int], bool]
KINDS: dict[str, tuple[Share, Repeat]] = {
    "differential": (differential.share, differential.repeat),
    "codec": (codec.share, codec.repeat),
}


def main() -> int:
    """Run what was asked for; 1 where an input did what none may, or memory grew."""
    cli = parser("fuzz", __doc__)
    cli.add_argument("kind", choices=(*KINDS, "routes"))
    cli.add_argument("--inputs", type=int, default=100_000)
    cli.add_argument("--examples", type=int, default=200, help="calls of each operation, for routes")
    cli.add_argument("--seed", type=int, default=1)
    cli.add_argument("--processes", type=int, default=2, help="that share the inputs out")
    cli.add_argument("--repeat", type=int, metavar="NUMBER", help="run this input alone, and shrink it")
    cli.set_defaults(out=None)
    given = cli.parse_args()
    if given.kind == "routes":
        return _report(given, [routes.run(given.examples, given.seed)])
    share, repeat = KINDS[given.kind]
    if given.repeat is not None:
        return int(repeat(given.seed, given.repeat))
    return _report(given, _run(share, given.seed, given.inputs, given.processes))


def _run(share: Share, seed: int, inputs: int, processes: int) -> list[Report]:
    """Each process has its own part of the numbers; a new interpreter, since threads do not survive a fork."""
    bounds = [inputs * place // processes for place in range(processes + 1)]
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        shares = [pool.submit(share, seed, begin, end) for begin, end in pairwise(bounds)]
        return [each.result() for each in shares]


def _report(given: argparse.Namespace, reports: Sequence[Report]) -> int:
    rows = [
        (
            f"{given.kind}, process {place}",
            f"{each.inputs:,}",
            f"{each.seconds:.0f}",
            f"{each.inputs / each.seconds:,.0f}",
            str(len(each.faults)),
            f"{each.early_bytes / 1e6:.1f}",
            f"{each.end_bytes / 1e6:.1f}",
        )
        for place, each in enumerate(reports, start=1)
    ]
    faults = sum(len(each.faults) for each in reports)
    growth = max(each.growth for each in reports)
    claims = [
        Claim(text="inputs at fault", expected="0", actual=str(faults), kept=not faults),
        Claim(
            text="growth of memory from 5 % of the inputs to the end",
            expected=f"at most {_MAX_GROWTH:.0%}",
            actual=f"{growth:.1%}",
            kept=growth <= _MAX_GROWTH,
        ),
    ]
    return write(given.out or FOLDER / f"fuzz_{given.kind}.json", _COLUMNS, rows, claims, _statuses(reports))


def _statuses(reports: Sequence[Report]) -> list[str]:
    """How many inputs had each status: an item of a list for each verb, where outcomes name verbs."""
    ended: dict[str, dict[str, int]] = {}
    for each in reports:
        for outcome, count in each.outcomes.items():
            verb, _, status = outcome.rpartition(" ")
            of_verb = ended.setdefault(verb, {})
            of_verb[status] = of_verb.get(status, 0) + count
    return [
        f"- {verb or 'all'}: {', '.join(f'{count:,} × {status}' for status, count in sorted(of_verb.items()))}"
        for verb, of_verb in sorted(ended.items())
    ]


if __name__ == "__main__":
    sys.exit(main())
