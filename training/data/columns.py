"""Which columns of a table hold the content and the label: by flag, by their usual names, or asked for.

Reading them is for `tables`.
"""

from collections.abc import Sequence
from typing import NamedTuple

from training.errors import DataError


class Wanted(NamedTuple):
    """One of the columns: its plain name, which always wins, and its other usual names."""

    plain: str
    usual: frozenset[str]

    @property
    def flag(self) -> str:
        return f"--{self.plain}-column"


def names(words: str) -> frozenset[str]:
    """Usual names, as a line of text."""
    return frozenset(words.split())


TEXT = Wanted(
    "text",
    names(
        "sentence review content comment body message tweet question query utterance document article post "
        "headline title description abstract email sms review_text comment_text tweet_text text_content"
    ),
)
LABEL = Wanted(
    "label",
    names(
        "class category target sentiment labels intent topic emotion polarity rating stars genre class_name "
        "label_name breed species language y"
    ),
)

_LONGEST_SHOWN = 40


class Columns(NamedTuple):
    """The names of the content's column and of the label's, as the file spells them."""

    content: str
    label: str


def find_columns(file: str, columns: Sequence[str], content: str, label: str) -> Columns:
    """The columns of text and label; DataError says which flag names one where that is not plain.

    content, label: as the flags say, empty where they say nothing. With one of the two found in a table of two
    columns, the other is the other.
    """
    found = {
        wanted: find_column(file, columns, wanted, given)
        for wanted, given in ((TEXT, content), (LABEL, label))
    }
    for one, other in ((TEXT, LABEL), (LABEL, TEXT)):
        taken = found[other]
        if found[one] is None and taken is not None and len(columns) == 2:
            found[one] = next((column for column in columns if column != taken), None)
    if missing := [wanted for wanted in found if found[wanted] is None]:
        raise unknown_columns(file, columns, missing)
    chosen = Columns(found[TEXT] or "", found[LABEL] or "")
    if chosen.content == chosen.label:
        raise DataError(f"{file}: column {chosen.content!r} cannot be both {TEXT.flag} and {LABEL.flag}")
    return chosen


def find_column(file: str, columns: Sequence[str], wanted: Wanted, given: str) -> str | None:
    """The column that is meant, or None; DataError where two may be, or the one that was given is not there."""
    found = [given] if given else _candidates(columns, wanted)
    if given and given not in columns:
        raise unknown_columns(file, columns, [wanted], given)
    if len(found) > 1:
        raise DataError(
            f"{file}: {wanted.plain} may be {' or '.join(map(repr, found))}. Say which with {wanted.flag}"
        )
    if found and list(columns).count(found[0]) > 1:
        raise DataError(f"{file}: two columns are called {found[0]!r}, expected one")
    return found[0] if found else None


def unknown_columns(
    file: str, columns: Sequence[str], wanted: Sequence[Wanted], given: str = ""
) -> DataError:
    """What is said where a column is not there: those that are, and the flags."""
    missing = " or ".join(repr(given or one.plain) for one in wanted)
    return DataError(
        f"{file}: no column {missing}{'' if given else ' or of another usual name'}; it has "
        f"{', '.join(repr(short(column)) for column in columns) or 'none, is the file empty?'}. "
        f"Name yours with {' and '.join(one.flag for one in wanted)}"
    )


def _candidates(columns: Sequence[str], wanted: Wanted) -> list[str]:
    """The plain name in any case alone, or every column with a usual one, without repeats."""
    plain = [column for column in columns if _normal(column) == wanted.plain]
    found = plain or [column for column in columns if _normal(column) in wanted.usual]
    return list(dict.fromkeys(found))


def _normal(column: str) -> str:
    return column.strip().lower().replace(" ", "_").replace("-", "_")


def short(column: str) -> str:
    """A column's name as a message shows it."""
    return column if len(column) <= _LONGEST_SHOWN else f"{column[:_LONGEST_SHOWN]}…"
