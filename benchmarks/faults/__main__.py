"""The fault matrix: each fault is made, and the table says what was done, expected and seen."""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from benchmarks.faults.bench import ROOT, Bench
from benchmarks.faults.cases import areas
from benchmarks.faults.matrix import CASES, Case, Unexpected, seen_in_one_line
from benchmarks.result import Claim, parser, write

_COLUMNS = ("case", "done", "expected", "seen", "held")
_SEEN_CHARACTERS = 160


def main() -> int:
    """Run the chosen cases, write the table, and say whether all held."""
    names = areas()
    cli = parser("faults", __doc__)
    cli.add_argument("--only", nargs="+", default=[], metavar="AREA[.CASE]", help=f"of {', '.join(names)}")
    cli.add_argument("--short", action="store_true", help="only the cases that CI runs")
    cli.add_argument("--checkout", type=Path, default=ROOT, help="of which the servers are: another version")
    cli.add_argument("--list", action="store_true", help="print the cases and run none")
    given = cli.parse_args()
    chosen = [each for each in CASES if _is_chosen(each, given)]
    if given.list:
        print("\n".join(f"{each.area}.{each.name}: {each.done} -> {each.expected}" for each in chosen))
        return 0
    rows: list[tuple[str, ...]] = []
    held: list[bool] = []
    for number, each in enumerate(chosen, start=1):
        began = time.monotonic()
        kept, seen = run(each, given.checkout.resolve())
        took = time.monotonic() - began
        print(f"{number}/{len(chosen)} {each.area}.{each.name}: {'held' if kept else 'FAILED'}, {seen} ({took:.1f} s)",
              file=sys.stderr, flush=True)  # fmt: skip
        held.append(kept)
        rows.append((f"{each.area}: {each.name.replace('_', ' ')}", each.done, each.expected, seen,
                     "yes" if kept else "**no**"))  # fmt: skip
    claim = Claim(text="cases that held", expected=str(len(held)), actual=str(sum(held)), kept=all(held))
    return write(given.out, _COLUMNS, rows, [claim])


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
