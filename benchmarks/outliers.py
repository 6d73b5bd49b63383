"""How well the outlier score of each bundle tells foreign sets from test: AUROC, and shares flagged at 1 % and 5 %.

Nothing is chosen here. The sets are read from BATON_DATA; a bundle of an older release answers with its energy.
"""

import argparse
import csv
import gzip
import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.result import Claim, parser, write
from inference.predictor import Predictor
from inference.processors.classification import energy
from inference.values import Payload
from training.config import make_config
from training.data.examples import spread_rows
from training.evaluate.outliers import RATES, auroc, shares_above
from training.lineage import newest_version
from training.tasks.foreign import Pixels, first_words, foreign_images, foreign_texts
from training.tasks.registry import find_task

SEED = 2
"""Of the foreign rows that are made here: other draws than for choosing and measuring in training."""

OTHER_LANGUAGES = (
    "Der Film war viel zu lang, aber die Schauspieler haben mir gut gefallen.",
    "Je n'ai jamais vu une histoire aussi mal racontée de toute ma vie.",
    "La película es hermosa y los actores están muy bien dirigidos.",
    "Questo film mi ha annoiato dall'inizio alla fine, non lo consiglio.",
    "Dit is zonder twijfel de beste film die ik dit jaar heb gezien.",
    "To był najgorszy film, jaki kiedykolwiek widziałem w kinie.",
    "Bu filmi çok sevdim, herkese tavsiye ederim.",
    "Elokuva oli tylsä, enkä jaksanut katsoa sitä loppuun asti.",
    "Фильм мне очень понравился, актёры играли прекрасно.",
    "Η ταινία ήταν υπέροχη και η μουσική ακόμα καλύτερη.",
    "この映画は本当に面白かったです。もう一度見たいと思います。",
    "Filmen var spännande men slutet gjorde mig besviken.",
)
"""A sentence of an invented review in each of twelve languages."""


def main() -> int:
    """Measure every bundle of that name that is there, write, and say whether the targets were reached."""
    cli = parser("outliers", __doc__)
    cli.add_argument("--models", type=Path, default=Path("models"), help="folder of the bundles")
    cli.add_argument("--rows", type=int, default=1_000, help="of test, and of each foreign set at most")
    given = cli.parse_args()
    rows: list[tuple[str, ...]] = []
    claims: list[Claim] = []
    for name, (sets, least) in BUNDLES.items():
        if (given.models / name).is_dir():
            for row, claim in _measure(name, sets, least, given):
                rows.append(row)
                claims += claim
    columns = ("bundle: score: rows", "count", "AUROC", *(f"flagged at {rate:.0%}" for rate in RATES))
    note = "Thresholds are the bundle's own; an older bundle has none by rate, and those of its test rows stand in."
    return write(given.out, columns, rows, claims, [note])


def _measure(
    name: str, sets: "Sets", least: float, given: argparse.Namespace
) -> Iterator[tuple[tuple[str, ...], list[Claim]]]:
    predictor = Predictor.open(newest_version(given.models / name))
    own, foreign = sets(given.rows)
    record = predictor.bundle.manifest.out_of_distribution
    scores = _scores(predictor, own)
    thresholds = record.thresholds if record and record.thresholds else _quantiles(scores)
    about = f"{name}: {record.score if record else 'energy'}"
    yield _row(f"{about}: test", len(own), "", shares_above(scores, thresholds)), []
    for kind, payloads in foreign.items():
        found = _scores(predictor, payloads)
        area = auroc(scores, found)
        claim = Claim(
            text=f"{name}: AUROC of {kind}",
            expected=f"at least {least}",
            actual=f"{area:.3f}",
            kept=area >= least,
        )
        shown = _row(f"{about}: {kind}", len(payloads), f"{area:.3f}", shares_above(found, thresholds))
        yield shown, [] if kind == OWN_FIRST_WORDS else [claim]


OWN_FIRST_WORDS = "test, first ten words"


def _row(name: str, count: int, area: str, shares: Mapping[str, float]) -> tuple[str, ...]:
    return name, f"{count:,}", area, *(f"{share:.3f}" for share in shares.values())


def _quantiles(scores: torch.Tensor) -> dict[str, float]:
    return {str(rate): float(scores.quantile(1 - rate)) for rate in RATES}


def _scores(predictor: Predictor, payloads: Sequence[Payload]) -> torch.Tensor:
    record = predictor.bundle.manifest.out_of_distribution
    name = record.output if record else None
    rows = [
        energy(outputs["logits"])[0] if name is None else outputs[name][0, 0]
        for outputs, _ in predictor.rows(payloads)
    ]
    return torch.tensor(np.array(rows)).double()


Sets = Callable[[int], tuple[list[Payload], dict[str, list[Payload]]]]


def _fashion(rows: int) -> tuple[list[Payload], dict[str, list[Payload]]]:
    own = _test_pixels("fashion", rows)
    sets = foreign_images(own, SEED)
    sets |= {"MNIST": _test_pixels("mnist", rows), "grey CIFAR-10": _test_pixels("cifar10-jpeg", rows)}
    return _images(own), {name: _images(pixels) for name, pixels in sets.items()}


def _photos(rows: int) -> tuple[list[Payload], dict[str, list[Payload]]]:
    own = _test_pixels("cifar10-jpeg", rows)
    padded = np.repeat(np.pad(_test_pixels("fashion", rows), ((0, 0), (2, 2), (2, 2), (0, 0))), 3, 3)
    digits = np.pad(_test_pixels("mnist", rows), ((0, 0), (2, 2), (2, 2), (0, 0)))
    sets = foreign_images(own, SEED)
    sets |= {"Fashion-MNIST, padded": padded, "MNIST, coloured": _coloured(digits)}
    foreign = {name: _images(pixels) for name, pixels in sets.items()}
    return _images(own), {**foreign, "flowers": _flowers(rows)}


def _reviews(rows: int) -> tuple[list[Payload], dict[str, list[Payload]]]:
    config = make_config({"task": "text", "data": "imdb", "arch": "bag"})
    data = find_task("text").load(config)
    own = [data.test.raw[row] for row in spread_rows(len(data.test), rows).tolist()]
    words = sorted({word for text in own for word in text.lower().split()})
    sets = foreign_texts(own, words, SEED)
    with gzip.open(_data() / "text/ag_news/test.csv.gz", "rt", encoding="utf-8") as stream:
        sets["AG News"] = [f"{row[1]} {row[2]}" for row in csv.reader(stream)][:rows]
    sets["MPQA phrases"] = _lines("mpqa.pos", rows // 2) + _lines("mpqa.neg", rows // 2)
    sets["other languages"] = list(OTHER_LANGUAGES)
    sets[OWN_FIRST_WORDS] = first_words(own)
    return _texts(own), {name: _texts(texts) for name, texts in sets.items()}


BUNDLES: dict[str, tuple[Sets, float]] = {
    "fashion": (_fashion, 0.95),
    "photos": (_photos, 0.93),
    "reviews": (_reviews, 0.95),
}
"""The shipped classifiers: their foreign sets, and the AUROC that each set is to reach."""


def _data() -> Path:
    """The folder of the public sets that are no named sets of `baton train`."""
    return Path(os.environ["BATON_DATA"])


def _test_pixels(name: str, rows: int) -> Pixels:
    data = find_task("vision").load(make_config({"task": "vision", "data": name, "arch": "cnn"}))
    pixels: Pixels = data.test.pixels[spread_rows(len(data.test), rows)].numpy()
    return pixels


def _coloured(digits: Pixels) -> Pixels:
    """Grey uint8 [n, H, W, 1] → digits of one colour on another, uint8 [n, H, W, 3]."""
    draw = np.random.default_rng(SEED)
    ink, paper = (draw.integers(0, 256, (len(digits), 1, 1, 3)) for _ in range(2))
    share = digits / 255
    return (share * ink + (1 - share) * paper).astype(np.uint8)


def _images(pixels: Pixels) -> list[Payload]:
    found = []
    for image in pixels:
        stream = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(stream, "PNG")
        found.append(Payload(stream.getvalue(), "image/png"))
    return found


def _flowers(rows: int) -> list[Payload]:
    with zipfile.ZipFile(_data() / "vision/flower-photos-500.zip") as archive:
        names = [name for name in archive.namelist() if name.endswith(".jpg")]
        return [Payload(archive.read(name), "image/jpeg") for name in names[:rows]]


def _lines(name: str, rows: int) -> list[str]:
    path = _data() / f"text/kim2014/{name}.gz"
    with gzip.open(path, "rt", encoding="latin-1") as stream:
        return [line.strip() for line in stream if line.strip()][:rows]


def _texts(texts: Sequence[str]) -> list[Payload]:
    return [Payload(text.encode(), "text/plain") for text in texts if text.strip()]


if __name__ == "__main__":
    sys.exit(main())
