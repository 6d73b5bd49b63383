"""A procedure to find defaults of `bag` and `textcnn`: settings drawn, and judged on validation.

    python -m benchmarks.find_defaults --arch bag --trials 24

A trial has the settings of the TOML file, some drawn anew from its [search], as `--search` does. It is
fitted on each of the sets below, and its score is the mean accuracy on their validation rows, as points above a linear
SVM of TF-IDF on the same rows. Whoever takes the best trial writes its settings into the TOML file.

`benchmarks.own_data` measures other sets than these; BATON_DATA names their folder.

    imdb, imdb-short    the reviews, and their first 25 words
    sts                 the collection that a sentence of the STS sets is from
    movies              the first genre of a title of MovieLens 1M
"""

import csv
import gzip
import lzma
import os
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from benchmarks.result import parser, write
from training.config import TrainConfig, load_config
from training.evaluate.linear import Split, text_baseline
from training.fit.budget import settled
from training.fit.search import draws, with_drawn
from training.fit.train import fit, read_data
from training.run import RunFiles

SIZES = {"imdb": (1_000, 4_000), "imdb-short": (1_000, 5_000), "sts": (300, 1_000, 5_000), "movies": (1_000,)}
"""Rows of train that are taken of each set."""

VALIDATION_ROWS = 2_000
SHORT_WORDS = 25

Texts = list[tuple[str, str]]


def main() -> int:
    """Fit every trial on every set, and write the table."""
    options = parser("find_defaults", __doc__)
    options.add_argument("--arch", default="bag")
    options.add_argument("--trials", type=int, default=16)
    options.add_argument("--sets", nargs="+", default=list(SIZES))
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        sets = [
            write_set(root / f"{name}-{size}", texts_of(name), size, chosen.seed)
            for name in chosen.sets
            for size in SIZES[name]
        ]
        flags = ("--arch", chosen.arch, "--search", str(chosen.trials), "--threads", "1", "--no-progress")
        trials = draws(load_config("text", ("--data", str(sets[0]), *flags)))
        found = {one.name: _points(one, flags, root) for one in sets}
    rows = [
        (_named(drawn), *(f"{points[number]:+.1f}" for points in found.values()), f"{mean:+.2f}")
        for number, drawn in enumerate(trials)
        for mean in [float(np.mean([points[number] for points in found.values()]))]
    ]
    return write(chosen.out, ("settings", *found, "mean"), rows, ())


def _points(data: Path, flags: tuple[str, ...], root: Path) -> list[float]:
    """Points of validation accuracy above the SVM, by trial."""
    config = load_config("text", ("--data", str(data), *flags))
    loaded = read_data(config)
    train, held = (Split(each.raw, each.labels.numpy()) for each in (loaded.train, loaded.validation))
    baseline = float((text_baseline(train, held, held).answers == held.labels).mean())
    points = []
    for number, drawn in enumerate(draws(config)):
        tried: TrainConfig = with_drawn(config, drawn)
        if tried.min_count != config.min_count:
            loaded = read_data(tried)
        run = RunFiles(root / "runs" / f"{data.name}-{number}")
        run.root.mkdir(parents=True)
        score = fit(settled(tried, len(loaded.train)), run, loaded).score
        points.append(100 * (score - baseline))
        print(f"{data.name} {_named(drawn)}: {score:.4f}, SVM {baseline:.4f}", flush=True)
    return points


def _named(drawn: dict[str, object]) -> str:
    """The drawn settings, as one cell."""
    options = drawn.get("model", {})
    flat = {**drawn, **(options if isinstance(options, dict) else {})}
    return ", ".join(f"{name} {value}" for name, value in flat.items() if name != "model") or "the defaults"


def write_set(folder: Path, rows: Texts, size: int, seed: int) -> Path:
    """`size` rows of train, `VALIDATION_ROWS` of validation or a third of all, and as test a few that nobody reads."""
    folder.mkdir(parents=True)
    order = np.random.default_rng(seed).permutation(len(rows))
    held = min(VALIDATION_ROWS, len(rows) // 3)
    parts = {"validation": order[:held], "test": order[held : held + 50], "train": order[held + 50 :][:size]}
    known = {rows[number][1] for number in parts["train"]}
    for split, numbers in parts.items():
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            kept = [rows[number] for number in numbers if rows[number][1] in known]
            csv.writer(stream).writerows([("text", "label"), *kept])
    return folder


def texts_of(name: str) -> Texts:
    """The rows of a set by its name, of classes with 20 rows and more."""
    root = Path(os.environ["BATON_DATA"])
    if name.startswith("imdb"):
        with lzma.open(root / "text/imdb/train.csv.xz", "rt", encoding="utf-8", newline="") as stream:
            rows = [(row["text"], row["label"]) for row in csv.DictReader(stream)]
        return (
            [(" ".join(text.split()[:SHORT_WORDS]), label) for text, label in rows]
            if "short" in name
            else rows
        )
    rows = list(dict(_sentences(root) if name == "sts" else _titles(root)).items())
    counts = {label: sum(other == label for _, other in rows) for _, label in rows}
    return [row for row in rows if counts[row[1]] >= 20]


def _sentences(root: Path) -> Iterator[tuple[str, str]]:
    """Each sentence, and the collection that it is from."""
    for year in ("13", "14", "15", "16"):
        with gzip.open(root / f"text/sts/sts{year}.tsv.gz", "rt", encoding="utf-8") as stream:
            next(stream)
            cells = (line.rstrip("\n").split("\t") for line in stream)
            yield from chain.from_iterable(((row[1], row[3]), (row[2], row[3])) for row in cells)


def _titles(root: Path) -> Iterator[tuple[str, str]]:
    with (root / "recsys/ml-1m/movies.dat").open(encoding="latin-1") as stream:
        for line in stream:
            _, title, genres = line.rstrip("\n").split("::")
            yield title, genres.split("|")[0]


if __name__ == "__main__":
    sys.exit(main())
