"""Reading a table of texts against another checkout, by turns in one run: the most memory, and the processor's time."""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.result import Claim, parser, write

ROOT = Path(__file__).parent.parent
SIDES = ("before", "now")

MOST_MEMORY, MOST_TIME, MOST_TIMES_THE_FILE = 0.5, 0.6, 3.0
"""Promised shares of the other checkout's, and bytes for each byte of the file."""

WORDS = {"short": 40, "long": 250}
"""Words a text on the mean: news and reviews."""

# Every step from the file to the splits: what does not depend on the tokenizer's library.
READ = """
from training.data.text_sets import load_texts
found = load_texts(sys.argv[1], "text", "label", strict=False)
rows = len(found.train) + len(found.test)
"""
# With the tokenizer's training and every text as ids.
LOAD = """
from training.config import load_config
from training.tasks.registry import find_task
flags = ["--data", sys.argv[1], "--arch", "bag", "--text-column", "text", "--label-column", "label"]
found = find_task("text").load(load_config("text", flags))
rows = len(found.train) + len(found.validation) + len(found.test)
"""
MEASURED = """
import json, resource, sys
{step}
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([used.ru_maxrss * 1024, used.ru_utime + used.ru_stime, rows]))
"""


def main() -> int:
    cli = parser("train_data", __doc__)
    cli.add_argument("--against", type=Path, required=True, help="the folder of the other checkout")
    cli.add_argument("--megabytes", type=int, default=200, help="size of each table")
    cli.add_argument("--turns", type=int, default=3, help="readings by each side")
    cli.add_argument("--load", action="store_true", help="measure the tokenizer, too, once: minutes")
    given = cli.parse_args()
    rows: list[tuple[str, ...]] = []
    claims: list[Claim] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, words in WORDS.items():
            table = Path(folder) / f"{name}.csv"
            make_table(table, given.megabytes * 10**6, words)
            _compare(f"read, {words} words a text", READ, table, given, given.turns, rows, claims)
            if given.load and name == "short":
                _compare("read and tokenize", LOAD, table, given, 1, rows, [])
            table.unlink()
    columns = ("step", "checkout", "most memory, MB", "bytes a byte of the file", "processor time, s", "rows")
    return write(given.out, columns, rows, claims)


def make_table(path: Path, size: int, words: int) -> None:
    """Texts of words drawn by rank, a third of them quoted with quotes inside; the same bytes in every run."""
    draw = random.Random(0)
    known = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(30_000)]
    pool = draw.choices(known, [1 / (rank + 5) for rank in range(len(known))], k=1_000_000)
    with path.open("w", encoding="utf-8") as stream:
        stream.write("text,label\n")
        row = written = 0
        while written < size:
            count = draw.randint(words // 2, words * 3 // 2)
            first = draw.randrange(len(pool) - count)
            text = f"{' '.join(pool[first : first + count])} {row}"
            line = f'"{text}, he said ""no""."' if row % 3 == 0 else text
            written += stream.write(f"{line},{'abcd'[row % 4]}\n")
            row += 1


def _compare(
    name: str,
    step: str,
    table: Path,
    given: argparse.Namespace,
    turns: int,
    rows: list[tuple[str, ...]],
    claims: list[Claim],
) -> None:
    """Measure both checkouts by turns; adds to `rows` and `claims`."""
    checkouts = dict(zip(SIDES, (given.against.resolve(), ROOT), strict=True))
    found: dict[str, list[tuple[float, float, int]]] = {side: [] for side in SIDES}
    for turn in range(turns):
        for side in SIDES if turn % 2 else reversed(SIDES):
            found[side].append(_measure(checkouts[side], step, table))
    size = table.stat().st_size
    memory, seconds = (
        {side: median(one[place] for one in found[side]) for side in SIDES} for place in (0, 1)
    )
    for side in SIDES:
        shown = f"{memory[side] / 1e6:.0f}", f"{memory[side] / size:.2f}", f"{seconds[side]:.2f}"
        rows.append((name, side, *shown, f"{found[side][0][2]:,}"))
    for what, values, most in (("memory", memory, MOST_MEMORY), ("processor time", seconds, MOST_TIME)):
        share = values["now"] / values["before"]
        claims.append(
            Claim(text=f"{name}: {what}", expected=f"≤ {most}", actual=f"{share:.2f}", kept=share <= most)
        )
    times = memory["now"] / size
    claims.append(
        Claim(
            text=f"{name}: memory over the file's size",
            expected=f"≤ {MOST_TIMES_THE_FILE:g}",
            actual=f"{times:.2f}",
            kept=times <= MOST_TIMES_THE_FILE,
        )
    )


def _measure(checkout: Path, step: str, table: Path) -> tuple[float, float, int]:
    """Bytes, seconds and rows of a fresh process of that checkout, its imports included."""
    command = [sys.executable, "-c", MEASURED.format(step=step), str(table)]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    memory, seconds, rows = json.loads(done.stdout.splitlines()[-1])
    return memory, seconds, rows


if __name__ == "__main__":
    sys.exit(main())
