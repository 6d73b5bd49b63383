"""Folders: names that count, entries, and the fingerprint of a change."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.folder import (
    Listing,
    UnfitFile,
    fingerprint,
    listing,
    passed_over,
    read_regular,
    said_of,
    shown,
    states_of,
    version_named,
)
from tests.bundles import write_brightness


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("1", 1), ("001", 1), ("v1", 1), ("V02", 2), ("20261130", 20261130),
        ("0", None), ("²", None), ("١", None), ("-1", None), ("1.0", None), ("1_0", None), ("9" * 19, None), ("", None),
    ],
)  # fmt: skip
def test_a_version_is_a_number_above_0_in_plain_digits(name: str, version: int | None) -> None:
    assert version_named(name) == version


def _write(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b" ")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: _write(folder / "golden/0.png"),
        lambda folder: (folder / "labels.json").unlink(),
        lambda folder: (folder / "golden/1.png").replace(folder / "golden/0.png"),
        lambda folder: (folder / ".model.onnx.Xa12").write_bytes(b"x"),
        lambda folder: (folder / "model.onnx").chmod(0o600),
        lambda folder: (folder / "model.onnx").touch(),
    ],
    ids=["longer", "gone", "replaced", "a copier's", "readable", "touched"],
)
def test_a_change_of_any_file_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = write_brightness(tmp_path)
    before = fingerprint(folder)
    assert fingerprint(folder) == before
    change(folder)
    assert fingerprint(folder) != before


def test_a_fingerprint_ends_and_raises_nothing_whatever_lies_there(tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to(".")
    (tmp_path / "nowhere").symlink_to("away")
    (tmp_path / "itself").symlink_to("itself")
    assert len(fingerprint(tmp_path)) == 3
    assert len(fingerprint(tmp_path / "gone")) == 1


@pytest.mark.parametrize("name", [".git", "model.onnx~", "~x", "model.onnx.PART", "lost+found", "Thumbs.db"])
def test_a_temporary_file_or_litter_is_passed_over(name: str) -> None:
    assert passed_over(name)


@pytest.mark.parametrize("name", ["model.onnx", "parts", "tmp", "model.part.onnx", "a.b"])
def test_a_models_own_name_is_not_passed_over(name: str) -> None:
    assert not passed_over(name)


def test_entries_are_listed_by_kind_and_a_link_counts_as_its_target(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text("")
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "to-b").symlink_to("b")
    (tmp_path / "nowhere").symlink_to("away")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    assert listing(tmp_path) == Listing(["b", "to-b"], ["a.txt"], ["nowhere"], ["pipe", "zeros"])
    with pytest.raises(FileNotFoundError):
        listing(tmp_path / "gone")


def test_a_name_is_shown_without_line_breaks_and_bytes_that_are_no_text() -> None:
    assert shown("a\nb\tc") == "a b c"
    assert shown(os.fsdecode(b"a\xff")) == "a\N{REPLACEMENT CHARACTER}"


def test_an_error_of_the_system_is_told_without_the_path() -> None:
    assert (
        said_of(OSError(2, "No such file or directory", "/secret/models"))
        == "No such file or directory: models"
    )
    assert said_of(OSError()) == "OSError"


def test_a_file_is_read_whole_and_nothing_else_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    assert read_regular(tmp_path / "file", 5) == b"12345"
    for name, words in (
        ("file", "got 5 bytes, expected at most 4"),
        ("pipe", "got a pipe, expected a file"),
        (".", "got a folder, expected a file"),
        ("/dev/zero", "got a device, expected a file"),
    ):
        with pytest.raises(UnfitFile, match=words):
            read_regular(tmp_path / name, 4)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "away", 4)


def test_a_file_behind_a_link_changes_with_what_the_link_leads_to(tmp_path: Path) -> None:
    """As Kubernetes swaps the files of a Secret."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
    link = tmp_path / "link"
    assert states_of(link) == (None,)
    link.symlink_to("one")
    before = states_of(link)
    assert states_of(link) == before
    link.unlink()
    link.symlink_to("two")
    assert states_of(link) != before
