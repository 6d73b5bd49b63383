"""Named sets: a file that is not the published one is never used."""

from pathlib import Path

import pytest

from training.data.public_sets import PUBLIC_SETS, PublicSet
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


@pytest.mark.parametrize("public", PUBLIC_SETS.values(), ids=PUBLIC_SETS)
def test_every_named_set_states_licence_and_homepage(public: PublicSet) -> None:
    assert public.licence
    made_here = "Baton" in public.licence or "this project" in public.licence
    assert made_here or public.homepage.startswith("http")
