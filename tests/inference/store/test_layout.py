"""A model's folder: its versions, a sentence for anything else, and names that an address can hold."""

from pathlib import Path

import pytest

from inference.store.layout import check_name, fault_of_file, is_alias, read_model
from tests.bundles import sum_graph, write_bare, write_brightness


def test_versions_are_found_by_number_and_the_plain_name_goes_first(tmp_path: Path) -> None:
    for folder in ("1", "v1", "03"):
        write_bare(tmp_path, f"sum/{folder}", sum_graph(), None)
    model = read_model("sum", tmp_path / "sum")
    assert {version: located.path.name for version, located in model.versions.items()} == {1: "1", 3: "03"}
    (fault,) = model.faults
    assert str(fault) == "sum/v1"
    assert fault.reason == "it means version 1 as 1 does, which is served in its place"


def test_a_graph_without_a_versions_folder_is_version_1(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph(), None)
    model = read_model("sum", tmp_path / "sum")
    assert model.flat
    assert list(model.versions) == [1]


def test_a_graph_beside_the_versions_is_a_fault_and_costs_no_version(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    (tmp_path / "sum" / "model.onnx").write_bytes(sum_graph())
    model = read_model("sum", tmp_path / "sum")
    assert (list(model.versions), model.flat) == ([1], False)
    assert (
        model.faults[0].reason == "model.onnx lies beside the versions' folders, expected it in one of them"
    )


def test_a_bundle_that_is_being_written_is_known_by_its_golden_examples(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    (folder / "manifest.json").unlink()
    assert read_model("brightness", tmp_path / "brightness").versions[1].graph_file is None


def test_a_folder_of_notes_is_no_serious_fault(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "read.md").write_text("")
    model = read_model("notes", tmp_path / "notes")
    assert [(fault.serious, fault.reason) for fault in model.faults] == [
        (False, "got read.md, expected manifest.json or model.onnx")
    ]
    assert not model.meant


def test_a_name_that_is_no_part_of_an_address_is_refused_with_a_proposal(tmp_path: Path) -> None:
    write_bare(tmp_path, "größe zwei", sum_graph())
    model = check_name(read_model("größe zwei", tmp_path / "größe zwei"))
    assert model.versions == {}
    assert model.faults[0].reason.endswith("such as grosse-zwei")


def test_a_link_to_a_folder_beside_it_is_an_alias(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    (tmp_path / "sum" / "latest").symlink_to("1")
    (tmp_path / "sum" / "away").symlink_to(tmp_path)
    assert is_alias(tmp_path / "sum" / "latest", tmp_path / "sum")
    assert not is_alias(tmp_path / "sum" / "away", tmp_path / "sum")
    assert read_model("sum", tmp_path / "sum").faults == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sum.onnx", "a graph wants a folder of its own, expected sum/model.onnx"),
        ("sum.zip", "it is packed, expected sum/model.onnx"),
        ("sum.pt", "it is no ONNX graph in a folder of its own, expected sum/model.onnx"),
        ("README.md", None),
    ],
)
def test_a_file_among_the_models_is_told_where_it_belongs(
    tmp_path: Path, name: str, told: str | None
) -> None:
    fault = fault_of_file(tmp_path / name)
    assert (fault and fault.reason) == told
