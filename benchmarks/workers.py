"""One process against several workers on the same cores: by turns, a cheap graph and a heavy one."""

import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.asking import TIMEOUT_S
from benchmarks.graphs import HEAVY, TINY, write_mlp
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import Server, serving
from benchmarks.wrk import WrkResult, drive
from inference.runtime.machine import available_cpus
from serving.bench.figures import Interval, interval
from serving.bench.request import random_bodies, read_metadata


class Case(NamedTuple):
    """One shape of load."""

    model: str
    connections: int
    keep_alive: bool = True

    def __str__(self) -> str:
        each = "" if self.keep_alive else ", one request each"
        return f"{self.model}, {self.connections} connections{each}"


BUSIEST = Case("tiny", 64)
CASES = (BUSIEST, Case("tiny", 64, keep_alive=False), Case("heavy", 16))


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    cli = parser("workers", __doc__)
    cli.add_argument("--workers", type=int, default=available_cpus())
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--seconds", type=int, default=2, help="of each server in each case and round")
    given = cli.parse_args()
    one: dict[Case, list[WrkResult]] = defaultdict(list)
    several: dict[Case, list[WrkResult]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        models = Path(scratch)
        write_mlp(models, "tiny", TINY)
        write_mlp(models, "heavy", HEAVY)
        with serving(models) as alone, serving(models, ("--workers", str(given.workers))) as group:
            for _ in range(given.rounds):
                for case in CASES:
                    one[case].append(_ask(alone, case, given.seconds))
                    several[case].append(_ask(group, case, given.seconds))
            memory = alone.rss_mib(), group.rss_mib()
    rows = [_row(case, one[case], several[case]) for case in CASES]
    rows.append(
        (
            "RSS MiB, afterwards",
            f"{memory[0]:.0f}",
            "",
            f"{memory[1]:.0f}",
            "",
            f"{memory[1] / memory[0]:.2f}",
        )
    )
    columns = ("load", "one process: answers/s", "p99 ms", f"{given.workers} workers: answers/s", "p99 ms",
               "workers over one")  # fmt: skip
    gain = _gain(one[BUSIEST], several[BUSIEST])
    claim = Claim(
        text=f"{BUSIEST}: {given.workers} workers over one process",
        expected="over 1",
        actual=shown(gain),
        kept=gain.median > 1,
    )
    return write(given.out, columns, rows, [claim])


def _ask(server: Server, case: Case, seconds: int) -> WrkResult:
    (body, *_) = random_bodies(read_metadata(server.url, case.model, TIMEOUT_S), 1, {}, binary=False)
    path = f"/v2/models/{case.model}/infer"
    return drive(server, path, body, case.connections, seconds, keep_alive=case.keep_alive)


def _gain(one: list[WrkResult], several: list[WrkResult]) -> Interval:
    return interval([ours.rate / theirs.rate for ours, theirs in zip(several, one, strict=True)])


def _row(case: Case, one: list[WrkResult], several: list[WrkResult]) -> tuple[str, ...]:
    figures = [
        text
        for results in (one, several)
        for text in (
            f"{interval([each.rate for each in results]).median:.0f}",
            f"{interval([each.p99_ms for each in results]).median:.1f}",
        )
    ]
    return (str(case), *figures, shown(_gain(one, several)))


if __name__ == "__main__":
    sys.exit(main())
