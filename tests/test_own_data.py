"""Your own data: README's three commands of each task lead from files to an HTTP answer."""

import csv
import json
import random
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.serving.servers import start

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(\S+ train .*)\n(\S+ serve .*)\n(curl .*)\n```", README)
QUICK = ("--quantize", "off", "--no-robustness", "--threads", "1", "--no-progress")
"""What the commands leave out here: nothing on the way to an answer."""

TRAIN_LIMIT_S = 1800


def photos(folder: Path) -> None:
    """Dark and light images, no two of one size."""
    draw = np.random.default_rng(0)
    for label, level in (("day", 200), ("night", 40)):
        (folder / "photos" / label).mkdir(parents=True)
        for number in range(90):
            pixels = draw.normal(level, 30, (20 + number, 30 + number % 7, 3)).clip(0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / label / f"{number}.png")
    (folder / "photos" / "day" / "89.png").rename(folder / "one.png")


def mail(folder: Path) -> None:
    """Questions about parcels, and thanks."""
    draw = random.Random(0)
    things = ["parcel", "letter", "box", "order", "crate", "bag", "tent", "lamp", "book", "chair"]
    lines = [
        (f"{opening} my {thing} {ending} {number}", label)
        for number, thing in enumerate(things * 10)
        for label, opening, ending in (
            ("question", draw.choice(["Where is", "When comes"]), "at last?"),
            ("thanks", draw.choice(["Lovely,", "So glad of"]), "is great!"),
        )
    ]
    _write(folder / "mail.csv", ("text", "label"), lines)


def orders(folder: Path) -> None:
    """Who takes tea takes cups."""
    draw = random.Random(0)
    shelves = (
        ["tea", "cups", "pot", "spoons", "sugar", "milk", "cake", "plates"],
        ["rope", "tent", "lamp", "boots", "knife", "stove", "map", "matches"],
    )
    lines = [
        (f"u{user}", item, step)
        for user in range(60)
        for step, item in enumerate(draw.sample(shelves[user % 2], 6))
    ]
    _write(folder / "orders.csv", ("user", "item", "time"), lines)


def _write(path: Path, header: tuple[str, ...], lines: list[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([header, *lines])


def is_day(answer: dict[str, Any]) -> bool:
    return bool(answer["label"] == "day")


def is_question(answer: dict[str, Any]) -> bool:
    return bool(answer["label"] == "question")


def is_three_items(answer: dict[str, Any]) -> bool:
    return len(answer["items"]) == 3 and answer["known"] == 2


CASES: dict[str, tuple[Callable[[Path], None], Callable[[dict[str, Any]], bool]]] = {
    "vision": (photos, is_day),
    "text": (mail, is_question),
    "recommendation": (orders, is_three_items),
}


def test_the_readme_has_three_commands_for_each_task() -> None:
    assert [shlex.split(train)[2] for train, _, _ in BLOCKS] == list(CASES)


@pytest.mark.slow
@pytest.mark.parametrize("commands", BLOCKS, ids=[shlex.split(train)[2] for train, _, _ in BLOCKS])
def test_three_commands_of_the_readme_lead_from_files_to_an_answer(
    commands: tuple[str, str, str], tmp_path: Path
) -> None:
    train, serve, ask = map(shlex.split, commands)
    make, is_right = CASES[train[2]]
    (tmp_path / "path" / "to").mkdir(parents=True)
    make(tmp_path / "path" / "to")
    done = subprocess.run(
        [sys.executable, "-m", "baton", *train[1:], *QUICK],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=TRAIN_LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert serve[1:3] == ["serve", "--models"]
    with start(models=tmp_path / serve[3]) as running:
        asked = [part.replace("localhost:8000", running.url.removeprefix("http://")) for part in ask]
        answered = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    (answer,) = json.loads(answered.stdout)["predictions"]
    assert is_right(answer), answered.stdout
