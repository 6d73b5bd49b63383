"""Many faults in few lines."""

import pytest

from training.data.faults import counted, refuse, worst_first
from training.errors import DataError

MANY = [
    *(f"mail.csv, row {row}: label is empty" for row in range(2, 4)),
    "mail.csv, row 5: 3 more cells than the header has columns",
    *(f"mail.csv, row {row}: the same text as mail.csv, row {row - 50}" for row in range(100, 150)),
]


def test_at_most_ten_lines_are_shown_the_kind_of_most_rows_first() -> None:
    shown = worst_first(MANY)
    assert len(shown) <= 10
    assert shown[0] == "mail.csv, row 100: the same text as mail.csv, row 50"
    assert {MANY[0], MANY[2]} <= set(shown)


def test_the_rest_is_counted_by_kind() -> None:
    assert counted(MANY) == "50 × the same text as, 2 × label is empty, 1 × … more cells than"


def test_a_strict_run_stops_with_ten_lines_and_a_count() -> None:
    with pytest.raises(DataError) as stopped:
        refuse("mail.csv", MANY)
    lines = str(stopped.value).splitlines()
    assert lines[0] == "mail.csv: 53 faults:"
    assert len(lines) <= 12
    assert "more: 50 × the same text as" in lines[-1]
    refuse("mail.csv", ())
