"""Named sets: a file that is not the published one is never used."""

import hashlib
from pathlib import Path

import pytest

from training.data.public_sets import PUBLIC_SETS, PublicFile, PublicSet
from training.data.sources import local_files
from training.errors import ChecksumError, DataError


def test_changed_file_is_refused_by_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_DATA", str(tmp_path))
    first = PUBLIC_SETS["fashion"].files[0]
    (tmp_path / first.path).parent.mkdir(parents=True)
    (tmp_path / first.path).write_bytes(b"not the images")
    with pytest.raises(ChecksumError, match=first.sha256):
        local_files(PUBLIC_SETS["fashion"])


def test_missing_file_is_named_with_the_folder_it_was_looked_for_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATON_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is missing; BATON_DATA"):
        local_files(PUBLIC_SETS["fashion"])


def test_set_without_a_public_address_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BATON_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match="set BATON_DATA"):
        local_files(PUBLIC_SETS["cifar10-jpeg"])


def test_a_download_is_cached_once_and_a_wrong_one_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BATON_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    origin = tmp_path / "origin.gz"
    origin.write_bytes(b"the published bytes")
    file = PublicFile("set/file.gz", hashlib.sha256(b"the published bytes").hexdigest(), origin.as_uri())
    public = PublicSet("mine", "text", "", "", "", (file,))
    (path,) = local_files(public)
    assert path == tmp_path / "cache" / "baton" / "set" / "file.gz"
    origin.unlink()
    assert local_files(public) == [path], "it is not asked for again"
    path.unlink()
    origin.write_bytes(b"a page that says no")
    with pytest.raises(ChecksumError, match=file.sha256):
        local_files(public)
    assert not list(path.parent.iterdir())
