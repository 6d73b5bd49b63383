"""The fault matrix: each fault is made, and the table says what was done, expected and seen."""

import argparse
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.bench import ROOT, Bench
from benchmarks.faults.cases import areas
from benchmarks.faults.matrix import CASES, Case, Unexpected, seen_in_one_line
from benchmarks.result import Claim, Grid, parser, write

_SEEN_CHARACTERS = 160
_THIS = "this build"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one case with one checkout: whether it held, and what was seen."""

    held: bool
    seen: str

    def __str__(self) -> str:
        return self.seen if self.held else f"**failed:** {self.seen}"


def main() -> int:
    """Run the chosen cases, write the table, and say whether all held."""
    names = areas()
    cli = parser("faults", __doc__)
    cli.add_argument("--only", nargs="+", default=[], metavar="AREA[.CASE]", help=f"of {', '.join(names)}")
    cli.add_argument("--short", action="store_true", help="only the cases that CI runs")
    cli.add_argument("--checkout", type=Path, default=ROOT, help="of which the servers are: another version")
    cli.add_argument(
        "--against", type=Path, help="a checkout that each case is made with too, for a column beside"
    )
    cli.add_argument(
        "--jobs", type=int, default=1, help="cases at once; those that measure finely stay alone"
    )
    cli.add_argument("--list", action="store_true", help="print the cases and run none")
    given = cli.parse_args()
    chosen = [each for each in CASES if _is_chosen(each, given)]
    if given.list:
        print("\n".join(f"{each.area}.{each.name}: {each.done} -> {each.expected}" for each in chosen))
        return 0
    checkouts = {_THIS if given.checkout == ROOT else version_of(given.checkout): given.checkout.resolve()}
    if given.against:
        checkouts[version_of(given.against)] = given.against.resolve()
    outcomes = {name: run_all(chosen, checkout, given.jobs) for name, checkout in checkouts.items()}
    rows = [
        (f"{number}. {each.area}: {each.name.replace('_', ' ')}", each.done, each.expected, *map(str, seen))
        for number, (each, *seen) in enumerate(zip(chosen, *outcomes.values(), strict=True), start=1)
    ]
    first = next(iter(outcomes))
    held = {name: sum(each.held for each in seen) for name, seen in outcomes.items()}
    claim = Claim(text=f"cases that held with {first}", expected=str(len(chosen)), actual=str(held[first]),
                  kept=held[first] == len(chosen))  # fmt: skip
    notes = [f"{name} held {count} of the {len(chosen)}." for name, count in held.items() if name != first]
    grid = Grid(
        rows=tuple(each.area for each in chosen),
        columns={name: tuple(each.held for each in seen) for name, seen in outcomes.items()},
    )
    return write(given.out, ("case", "done", "expected", *outcomes), rows, [claim], notes, grid=grid)


def run_all(cases: Sequence[Case], checkout: Path, jobs: int) -> list[Outcome]:
    """Each case's outcome, in their order: first those that bear company, `jobs` at once, then the others."""
    outcomes: dict[int, Outcome] = {}

    def one(number: int) -> None:
        began = time.monotonic()
        held, seen = run(cases[number], checkout)
        outcomes[number] = Outcome(held, seen)
        name, took = f"{cases[number].area}.{cases[number].name}", time.monotonic() - began
        print(f"{len(outcomes)}/{len(cases)} {name}: {'held' if held else 'FAILED'}, {seen} ({took:.1f} s)",
              file=sys.stderr, flush=True)  # fmt: skip

    with ThreadPoolExecutor(jobs) as together:
        list(together.map(one, (number for number, each in enumerate(cases) if not each.alone)))
    for number, each in enumerate(cases):
        if each.alone:
            one(number)
    return [outcomes[number] for number in range(len(cases))]


def version_of(checkout: Path) -> str:
    """The commit of a checkout, else the folder's name."""
    told = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"], cwd=checkout, capture_output=True, text=True
    )
    return told.stdout.strip() if told.returncode == 0 else checkout.resolve().name


def run(each: Case, checkout: Path) -> tuple[bool, str]:
    """Whether a case held, and what was seen."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder:
        try:
            return True, _shortened(each.run(Bench(Path(folder), checkout)))
        except Unexpected as error:
            return False, _shortened(str(error))
        except Exception as error:
            traceback.print_exc()
            return False, _shortened(f"{type(error).__name__}: {error}".replace(folder, "…"))


def _shortened(seen: str) -> str:
    line = seen_in_one_line(seen)
    return line if len(line) <= _SEEN_CHARACTERS else f"{line[:_SEEN_CHARACTERS]}…"


def _is_chosen(each: Case, given: argparse.Namespace) -> bool:
    only: Sequence[str] = given.only
    named = not only or each.area in only or f"{each.area}.{each.name}" in only
    return named and (each.short or not given.short)


if __name__ == "__main__":
    sys.exit(main())
