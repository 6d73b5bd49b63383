"""A bundle comes into a folder of models whole or not at all, with what its manifest lists and nothing else."""

from pathlib import Path

import pytest

from inference.store.bundle import Bundle
from inference.store.publishing import copy_bundle, staged_folder
from inference.store.signatures import SIGNATURE_FILE
from tests.bundles import write_brightness


def test_a_copy_opens_and_leaves_out_what_is_not_listed(tmp_path: Path) -> None:
    source = write_brightness(tmp_path / "from")
    (source / ".hidden").write_text("x")
    (source / SIGNATURE_FILE).write_text("x")
    with staged_folder(tmp_path / "to", "brightness", 1) as staged:
        copy_bundle(Bundle.open(source), staged)
        assert not (tmp_path / "to" / "brightness" / "1").exists()
    target = tmp_path / "to" / "brightness" / "1"
    assert Bundle.open(target).manifest == Bundle.open(source).manifest
    assert (target / SIGNATURE_FILE).is_file()
    assert not (target / ".hidden").exists()
    assert [entry.name for entry in (tmp_path / "to").iterdir()] == ["brightness"]


def test_a_version_that_is_there_is_never_touched(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    before = sorted(folder.rglob("*"))
    with (
        pytest.raises(FileExistsError, match="a published version is never overwritten"),
        staged_folder(tmp_path, "brightness", 1) as staged,
    ):
        staged.mkdir(parents=True)
    assert sorted(folder.rglob("*")) == before


def test_a_block_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    def half() -> None:
        with staged_folder(tmp_path, "brightness", 2) as staged:
            staged.mkdir(parents=True)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert not list((tmp_path / "brightness").iterdir())
    assert [entry.name for entry in tmp_path.iterdir()] == ["brightness"]
