"""A version where it lies: its name and number by the folder, or by the manifest where the folder has none."""

from pathlib import Path

import pytest

from inference.folder import Listing
from inference.store.located import Located, graph_in, said_in
from tests.bundles import sum_graph, write_bare, write_brightness


def test_a_version_of_a_bundle_has_no_graph_file_of_its_own(tmp_path: Path) -> None:
    found = Located.at(write_brightness(tmp_path, version=3))
    assert (found.name, found.version, found.graph_file) == ("brightness", 3, None)


def test_a_bundle_alone_in_a_folder_is_named_by_its_manifest(tmp_path: Path) -> None:
    found = Located.at(write_brightness(tmp_path, version=3).rename(tmp_path / "copied"))
    assert (found.name, found.version) == ("brightness", 3)


@pytest.mark.parametrize(("version", "number"), [(None, 1), (4, 4)])
def test_a_bare_graph_is_named_by_its_folder(tmp_path: Path, version: int | None, number: int) -> None:
    found = Located.at(write_bare(tmp_path, "sum", sum_graph(), version))
    assert (found.name, found.version, found.graph_file) == ("sum", number, "model.onnx")


def test_a_folder_that_is_not_there_raises_nothing(tmp_path: Path) -> None:
    assert Located.at(tmp_path / "sum" / "2").graph_file == "model.onnx"


@pytest.mark.parametrize(
    ("files", "graph"),
    [
        (["a.onnx", "model.onnx"], "model.onnx"),
        (["a.ONNX", "notes.txt"], "a.ONNX"),
        (["a.onnx", "b.onnx"], None),
        (["notes.txt"], None),
    ],
)
def test_the_graph_is_the_plain_name_or_the_only_one(files: list[str], graph: str | None) -> None:
    assert graph_in(Listing([], files, [], [])) == graph


@pytest.mark.parametrize(
    "text", ["", "[]", '{"name": 1, "version": 1}', '{"name": "a", "version": true}', "[" * 9999]
)
def test_a_manifest_without_name_and_version_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert said_in(tmp_path) is None


def test_files_beside_the_versions_count_as_the_versions_own(tmp_path: Path) -> None:
    located = Located.at(write_bare(tmp_path, "sum", sum_graph()))
    before = located.files()
    (tmp_path / "sum" / "config.pbtxt").write_text("")
    assert located.files() != before
