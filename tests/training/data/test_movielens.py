"""MovieLens from files made as those of SASRec and NCF are."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from training.data import movielens
from training.data.movielens import read_movielens_1m, read_movielens_1m_ncf, read_movielens_100k
from training.errors import DataError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Users 11 and 12 of GroupLens, movies 100, 200 and 300; the last has no time in SASRec's file."""
    texts = {
        "events.gz": "1 1\n1 2\n2 2\n2 1\n",
        "users": "1 1\n2 2\n",
        "items": "1 100\n2 200\n",
        "movies": "100::Heat (1995)::Crime\n200::Babe (1995)::Drama\n300::Élan (1990)::Drama\n",
        "train.gz": "0 1\n0 2\n0 0\n1 0\n1 1\n",
        "test.gz": "0 1 5 9\n1 2 4 9\n",
        "negatives.gz": "(0,1)\t0\t2\n(1,2)\t0\t1\n",
        "columns": "0 100\n1 200\n2 300\n",
    }
    paths = {name: tmp_path / name for name in texts}
    for name, text in texts.items():
        raw = text.encode("latin-1")
        paths[name].write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return paths


def give(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    monkeypatch.setattr(movielens, "local_files", lambda _: list(paths))


def test_every_line_of_sasrecs_file_is_a_step_in_its_order(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, *(files[name] for name in ("events.gz", "users", "items", "movies")))
    found = read_movielens_1m("movielens-1m")
    assert (found.log.item.tolist(), found.log.basket.tolist()) == ([1, 2, 2, 1], [0, 1, 2, 3])
    assert found.catalogue.ids == (100, 200)
    assert found.catalogue.titles == ("Heat (1995)", "Babe (1995)")


NCF = ("train.gz", "test.gz", "negatives.gz", "columns", "events.gz", "users", "items", "movies")


def test_ncfs_pairs_take_their_order_from_sasrecs_file_and_the_rest_comes_first(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, *(files[name] for name in NCF))
    found = read_movielens_1m_ncf("movielens-1m-ncf")
    assert found.log.user.tolist() == [0, 0, 0, 1, 1]
    assert found.log.item.tolist() == [3, 1, 2, 2, 1]
    assert found.sampled is not None
    assert found.sampled.item.tolist() == [2, 3]
    assert np.array_equal(found.sampled.others, [[1, 3], [1, 2]])


def test_negatives_of_another_test_file_are_refused(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    files["negatives.gz"].write_bytes(gzip.compress(b"(1,2)\t0\t1\n(0,1)\t0\t2\n"))
    give(monkeypatch, *(files[name] for name in NCF))
    with pytest.raises(DataError, match=r"negatives\.gz: its lines are not those of the test file"):
        read_movielens_1m_ncf("movielens-1m-ncf")


def test_ratings_of_100k_are_put_in_time_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings, movies = tmp_path / "u.data.gz", tmp_path / "u.item"
    ratings.write_bytes(gzip.compress(b"1 20 5 900\n1 10 3 800\n2 10 4 700\n"))
    movies.write_text("10|Heat (1995)|\n20|Babe (1995)|\n")
    give(monkeypatch, ratings, movies)
    found = read_movielens_100k("movielens-100k")
    assert found.log.item.tolist() == [1, 2, 1]
    assert found.users == (1, 2)


def test_a_line_that_is_cut_short_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ratings, movies = tmp_path / "u.data.gz", tmp_path / "u.item"
    ratings.write_bytes(gzip.compress(b"1 20 5 900\n1 10 3\n"))
    movies.write_text("10|Heat (1995)|\n")
    give(monkeypatch, ratings, movies)
    with pytest.raises(DataError, match=r"u\.data\.gz: 7 numbers, expected 4 a line"):
        read_movielens_100k("movielens-100k")
