"""The table of named sets: every one states its origin, and its digest is of its files."""

from dataclasses import replace

import pytest

from training.data.public_sets import PUBLIC_SETS, PublicSet


@pytest.mark.parametrize("public", PUBLIC_SETS.values(), ids=PUBLIC_SETS)
def test_every_named_set_states_licence_and_homepage(public: PublicSet) -> None:
    assert public.licence
    made_here = "Baton" in public.licence or "this project" in public.licence
    assert made_here or public.homepage.startswith("http")


@pytest.mark.parametrize("public", PUBLIC_SETS.values(), ids=PUBLIC_SETS)
def test_every_file_has_a_digest_and_a_path_of_its_own(public: PublicSet) -> None:
    assert all(len(file.sha256) == 64 and int(file.sha256, 16) for file in public.files)
    assert len({file.path for file in public.files}) == len(public.files)


def test_another_file_is_another_digest_of_the_set() -> None:
    fashion = PUBLIC_SETS["fashion"]
    changed = replace(fashion.files[0], sha256="0" * 64)
    assert replace(fashion, files=(changed, *fashion.files[1:])).digest() != fashion.digest()
    assert replace(fashion, summary="another").digest() == fashion.digest()
