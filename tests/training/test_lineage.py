"""The kind of a bundle or a run, from its path."""

import json
from pathlib import Path

import pytest

from inference.manifest import Manifest
from tests.bundles import shipped
from training.lineage import kind_of, newest_version, options_of


def test_the_newest_version_is_the_largest_number_and_a_bundle_is_its_own(tmp_path: Path) -> None:
    for name in ("2", "10", "latest", ".11"):
        (tmp_path / name).mkdir()
    assert newest_version(tmp_path) == tmp_path / "10"
    assert newest_version(tmp_path / "2") == tmp_path / "2"


def test_a_bundle_and_its_folder_are_of_one_kind() -> None:
    bundle = shipped("fashion")
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    kind = kind_of(bundle)
    assert kind is not None
    assert (kind.task, kind.arch, kind.options) == ("vision", "resnet", options_of(manifest))
    assert kind == kind_of(bundle.parent)


def test_a_run_tells_its_kind_by_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"task": "text", "arch": "lstm", "model": {"width": 8}}))
    assert kind_of(tmp_path) == ("text", "lstm", {"width": 8})


@pytest.mark.parametrize("content", [None, "{", "{}", "[]"], ids=["none", "cut short", "empty", "a list"])
def test_anything_else_has_no_kind_and_raises_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    assert kind_of(tmp_path) is None
