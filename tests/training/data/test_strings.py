"""Texts in a buffer: the same in memory and in a temporary file."""

import gc
from pathlib import Path

import numpy as np
import pyarrow
import pytest

from training.data.rows import Rows
from training.data.strings import Strings, StringsBuilder
from training.errors import DataError

TEXTS = ["tea", "", "schön", "日本", "tea", "x" * 50]


def build(in_memory: int) -> Strings:
    builder = StringsBuilder(in_memory)
    builder.add(TEXTS[:2])
    builder.add_arrow(pyarrow.array(["cut", *TEXTS[2:], "off"]).slice(1, 4))
    return builder.build()


@pytest.mark.parametrize("in_memory", [1000, 10, 0], ids=["memory", "spilled later", "disk"])
def test_texts_come_back_by_row_by_selection_and_in_batches(in_memory: int) -> None:
    strings = build(in_memory)
    assert list(strings) == TEXTS
    assert [strings[row] for row in range(-1, 3)] == [TEXTS[-1], *TEXTS[:3]]
    assert list(strings[1:4]) == TEXTS[1:4]
    assert list(strings.take(np.array([5, 0, 3])).take(np.array([2, 0]))) == [TEXTS[3], TEXTS[5]]
    assert list(strings.batches(4)) == [TEXTS[:4], TEXTS[4:]]
    hashes = strings.hashes()
    assert hashes[0] == hashes[4]
    assert len(set(hashes.tolist())) == 5


def test_the_file_ends_with_its_last_reader() -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the system does not list open files")
    before = opened()
    strings = build(0)
    part = strings[:2]
    del strings
    assert list(part) == TEXTS[:2]
    assert opened() == before + 1
    del part
    gc.collect()
    assert opened() == before


def test_a_full_disk_is_named_with_the_variable_that_names_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.data.strings.tempfile.TemporaryFile", full)
    with pytest.raises(DataError, match=r"no room for the texts: .*No space left.*TMPDIR"):
        build(0)


def test_rows_know_their_file_number_and_class() -> None:
    rows = Rows.of("mail", [("a", "x"), ("b", "y"), ("c", "x")])
    assert rows[1] == ("b", "y", "mail, row 3")
    assert list(rows[1:]) == [rows[1], rows[2]]
    assert rows.counts() == {"x": 2, "y": 1}
    assert rows.classes(["y", "x"]).tolist() == [1, 0, 1]
    assert rows.classes(["x"]).tolist() == [0, -1, 0]
