"""A share of the spoiled bundles, and that the benchmark would tell of one that is taken otherwise."""

import json
import random
import shutil
from pathlib import Path

import pytest

from benchmarks.hostile_bundles import Spoiled, documents, outcome, run, spoil
from inference.predictor import Predictor
from tests.bundles import MODELS, shipped, write_watched


def test_a_spoiled_bundle_is_served_or_refused_by_name(tmp_path: Path) -> None:
    write_watched(tmp_path)
    seen = run(tmp_path, 300, seed=15)
    assert seen["ManifestInvalid"] > 150
    assert sum(seen.values()) == 300


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fashion", "retail", "reviews"])
def test_a_spoiled_bundle_of_each_task_is_served_or_refused_by_name(tmp_path: Path, name: str) -> None:
    source = shipped(name)
    shutil.copytree(source, tmp_path / name / source.name)
    assert sum(run(tmp_path, 150, seed=15).values()) == 150


def test_every_document_of_the_shipped_models_is_spoiled() -> None:
    found = {f"{folder.parent.name}/{name}" for folder, name in documents(MODELS)}
    assert {
        "reviews/tokenizer.json",
        "retail/items.json",
        "fashion/golden.json",
        "photos/reference.json",
    } <= found


def test_a_change_is_made_somewhere_in_the_document() -> None:
    content, rng = {"a": [1, 2, {"b": 3}], "c": "x"}, random.Random(0)
    made = [spoil(content, rng) for _ in range(200)]
    assert content == {"a": [1, 2, {"b": 3}], "c": "x"}
    assert {"a", "b", "c", "surprise"} <= {key for each in made for key in each.keys}
    assert sum(each.data == json.dumps(content).encode() for each in made) < 20


def test_a_bundle_that_fails_in_another_way_is_told_and_the_files_are_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_watched(tmp_path)
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(AssertionError, match="it does not name"):
        outcome(folder, "labels.json", Spoiled(b'{"surprise": 1}', ("hue",)))
    monkeypatch.setattr(Predictor, "open", lambda _: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        outcome(folder, "manifest.json", Spoiled(b"{}", ()))
    assert (folder / "manifest.json").read_bytes() == before
