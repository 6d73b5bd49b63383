"""Defaults on data that no recipe knows: `bag` and `textcnn` beside a linear SVM, one command for each model.

    cr, mpqa, subj, mr    ten folds, as Kim 2014 (arXiv:1408.5882, table 2) scores them; sentences
    sst2                  the sentences of the treebank with its own validation and test
    ag-500, ag-5000       rows of AG News, the same for every model, and its whole test split
    flowers               500 photographs of five flowers, by transfer from models/photos
    made-0 … made-19      sets made here: 6 to 50,000 rows, 2 to 200 classes, balance 1:1 to 1:200

Each training is `baton train` with the data and the architecture, and without another setting that moves a weight. The
baseline is the one that the command trains itself: on the same rows, its C chosen on the same validation. BATON_DATA
names the folder of the public sets.
"""

import csv
import gzip
import json
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.result import Claim, parser, write
from training.config import load_config
from training.data.text_sets import load_texts
from training.errors import TrainingError
from training.pipeline import train

KIM = {
    "cr": ("custrev", "neg", "pos"),
    "mpqa": ("mpqa", "neg", "pos"),
    "subj": ("subj", "objective", "subjective"),
}
PUBLISHED = {"mr": 0.761, "sst2": 0.827, "subj": 0.896, "cr": 0.798, "mpqa": 0.834}
"""CNN-rand of Kim 2014, table 2."""

FOLDS = 10
POINT = 0.01
TRANSFER_FLOOR = 0.70
MADE = 20

QUIET = ("--no-progress", "--threads", "1", "--quantize", "off", "--no-robustness", "--force")
"""None of them moves a weight."""

Texts = list[tuple[str, str]]
"""Text and label of each row."""


class Scored(NamedTuple):
    """One training: accuracy of the model and of its baseline on `rows` of test, and what the card says."""

    data: str
    arch: str
    rows: int
    model: float
    baseline: float
    warned: bool


def main() -> int:
    options = parser("own_data", __doc__)
    options.add_argument("--sets", nargs="+", default=[*PUBLISHED, "ag-500", "ag-5000", "flowers", "made"])
    options.add_argument("--folds", type=int, default=FOLDS, help="of the ten, the first so many")
    options.add_argument("--archs", nargs="+", default=["bag", "textcnn"])
    options.add_argument(
        "--runs", type=Path, help="where runs are kept, so that a stopped measurement resumes"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = chosen.runs or Path(temporary)
        scored = [
            one
            for name in (made for each in chosen.sets for made in _expanded(each))
            for one in _measure(name, root, chosen.archs, chosen.folds)
        ]
    return write(chosen.out, COLUMNS, *_told(scored))


def _expanded(name: str) -> list[str]:
    return [f"made-{number}" for number in range(MADE)] if name == "made" else [name]


def _measure(name: str, root: Path, archs: Sequence[str], folds: int) -> list[Scored]:
    if name == "flowers":
        return [_trained(name, flowers(root), "resnet", root, ("--init-from", "models/photos"))]
    tables = texts_of(name, folds)
    found = []
    for number, table in enumerate(tables):
        folder = root / f"{name}-{number}"
        if not folder.exists():
            _write_table(folder, table)
        found += [_trained(name, folder, arch, root, ("--arch", arch)) for arch in archs]
    return found


def _trained(name: str, data: Path, arch: str, root: Path, flags: Sequence[str]) -> Scored:
    """One command, and the figures in the manifest of its bundle."""
    task = "vision" if name == "flowers" else "text"
    own = ("--data", str(data), "--name", data.name, "--run", str(root / "runs" / f"{data.name}-{arch}"))
    try:
        bundle = train(load_config(task, [*own, "--models", str(root / "models" / arch), *flags, *QUIET]))
    except TrainingError as error:
        print(f"{data.name} {arch}: refused: {error}", flush=True)
        return Scored(name, arch, 0, float("nan"), float("nan"), warned=True)
    manifest = json.loads((bundle / "manifest.json").read_text())
    evaluation = manifest["graphs"]["fp32"]["evaluation"]
    figures = evaluation["metrics"]
    baseline = next(value for key, value in figures.items() if key.endswith(": accuracy"))
    warned = "below it" in (bundle / "card.md").read_text()  # as `gate.describe` words it
    scored = Scored(name, arch, evaluation["rows"], figures["accuracy"], baseline, warned)
    print(data.name, *scored[1:], flush=True)
    return scored


# The data

Table = dict[str, Texts]
"""Rows by split: train and test, and validation where the publishers have one."""


def texts_of(name: str, folds: int) -> list[Table]:
    """The splits of a set, one for each fold."""
    root = Path(os.environ["BATON_DATA"]) / "text"
    if name.startswith("made-"):
        return [made_set(int(name.removeprefix("made-")))]
    if name.startswith("ag-"):
        return [ag_news(int(name.removeprefix("ag-")))]
    if name == "sst2":
        return [treebank(root / "kim2014")]
    return folds_of(polarity(root, name))[:folds]


def polarity(root: Path, name: str) -> Texts:
    """A set of two files, a row a line."""
    if name == "mr":
        files = {label: root / "rt-polarity" / f"rt-polarity.{label}.gz" for label in ("neg", "pos")}
    else:
        stem, *labels = KIM[name]
        files = {label: root / "kim2014" / f"{stem}.{label}.gz" for label in labels}
    return [(line, label) for label, file in files.items() for line in _lines(file)]


def _lines(file: Path) -> Iterable[str]:
    with gzip.open(file, "rt", encoding="latin-1") as stream:
        return [line.strip() for line in stream if line.strip()]


def folds_of(rows: Texts) -> list[Table]:
    """Ten seeded folds; each is test once."""
    parts = np.array_split(np.random.default_rng(0).permutation(len(rows)), FOLDS)
    tables = []
    for part in parts:
        held = set(part.tolist())
        tables.append(
            {
                "train": [row for number, row in enumerate(rows) if number not in held],
                "test": [rows[number] for number in sorted(held)],
            }
        )
    return tables


def treebank(root: Path) -> Table:
    """SST-2, sentences alone."""
    names = {"train": "train", "validation": "dev", "test": "test"}
    return {
        split: [(line[2:], line[0]) for line in _lines(root / f"stsa.binary.{name}.gz")]
        for split, name in names.items()
    }


def ag_news(rows: int) -> Table:
    """So many rows of train by chance, and the whole test split."""
    texts = load_texts("ag_news", "text", "label", strict=False)
    chosen = np.random.default_rng(0).permutation(len(texts.train))[:rows]
    train = [texts.train[number] for number in chosen]
    return {"train": [row[:2] for row in train], "test": [row[:2] for row in texts.test]}


def made_set(number: int) -> Table:
    """Classes that share most of their words: a text is 5 to 30 words, a third of them from its class.

    Rows, classes, balance and how much the classes share are drawn by `number`, from the smallest set to the largest.
    """
    draws = np.random.default_rng(number)
    rows = round(float(np.geomspace(6, 50_000, MADE)[number]))
    classes = int(np.clip(round(float(np.exp(draws.uniform(np.log(2), np.log(200))))), 2, max(2, rows // 6)))
    balance = float(np.exp(draws.uniform(0, np.log(200))))
    shares = np.geomspace(1, balance, classes)
    labels = np.concatenate(
        [np.repeat(np.arange(classes), 3), draws.choice(classes, rows, p=shares / shares.sum())]
    )
    own = draws.integers(0, 20_000, (classes, 40))
    common = 1 / np.arange(1, 2_001)
    table: Texts = []
    for label in labels[: max(rows, 3 * classes)]:
        length = int(draws.integers(5, 31))
        words = draws.choice(2_000, length, p=common / common.sum())
        named = draws.random(length) < 0.3 * draws.random()
        words = np.where(named, 2_000 + own[label][draws.integers(0, 40, length)], words)
        table.append((" ".join(f"w{word}" for word in words), f"class {label}"))
    return {"": table}


def _write_table(folder: Path, table: Table) -> None:
    """A folder of train, validation and test; one file where the command is to split it."""
    folder.mkdir(parents=True)
    for split, rows in table.items():
        with (folder / f"{split or 'train'}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerows([("text", "label"), *rows])


def flowers(root: Path) -> Path:
    """The folder of photographs, a folder a class."""
    target = root / "flowers"
    if not target.exists():
        with zipfile.ZipFile(Path(os.environ["BATON_DATA"]) / "vision" / "flower-photos-500.zip") as archive:
            archive.extractall(target)
    inside = [entry for entry in target.iterdir() if entry.is_dir()]
    return inside[0] if len(inside) == 1 else target


# The table

COLUMNS = ("data", "architecture", "trainings", "accuracy", "TF-IDF and linear SVM", "CNN-rand", "difference")


def _told(scored: Sequence[Scored]) -> tuple[list[tuple[str, ...]], list[Claim]]:
    """A row for each set and architecture, and the promises."""
    rows: list[tuple[str, ...]] = []
    claims: list[Claim] = []
    for data, arch in dict.fromkeys((one.data, one.arch) for one in scored):
        same = [one for one in scored if (one.data, one.arch) == (data, arch)]
        model, baseline = (
            float(np.mean([getattr(one, part) for one in same])) for part in ("model", "baseline")
        )
        published = PUBLISHED.get(data)
        shown = f"{published:.3f}" if published else "–"
        rows.append(
            (data, arch, str(len(same)), f"{model:.4f}", f"{baseline:.4f}", shown, f"{model - baseline:+.4f}")
        )
        if not data.startswith("made-"):
            floor = TRANSFER_FLOOR if data == "flowers" else max(baseline, (published or 0) - POINT)
            claims.append(
                Claim(
                    text=f"{arch} on {data}",
                    expected=f"at least {floor:.4f}",
                    actual=f"{model:.4f}",
                    kept=model >= floor,
                )
            )
    made = [one for one in scored if one.data.startswith("made-") and one.rows]
    silent = [one for one in made if not one.warned and one.model < one.baseline - _error(one)]
    if made:
        claims.append(
            Claim(
                text="made sets: below the baseline by more than a standard error without a warning",
                expected="0",
                actual=f"{len(silent)} of {len(made)}",
                kept=not silent,
            )
        )
    return rows, claims


def _error(one: Scored) -> float:
    """Standard error of an accuracy; that of the paired difference is smaller where the two agree."""
    return float(np.sqrt(one.baseline * (1 - one.baseline) / one.rows))


if __name__ == "__main__":
    sys.exit(main())
