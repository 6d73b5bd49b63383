"""Errors: one tree, and messages with the field, the actual and the expected value."""

from pathlib import Path

import pytest

from inference.errors import (
    MISSING,
    BatonError,
    BundleRefused,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    RowsChanged,
    counted,
    shorten,
)


def test_every_error_is_one_of_ours() -> None:
    from inference import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, BatonError) for kind in kinds)
    drawn = errors.__doc__ or ""
    assert all(kind.__name__ in drawn for kind in kinds)


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        (3, "k: got 3, expected 1"),
        (MISSING, "k: missing, expected 1"),
        ("a" * 200, f"k: got {'a' * 120}…, expected 1"),
    ],
    ids=["a value", "none", "a long value"],
)
def test_an_input_at_fault_is_told_by_field_actual_and_expected(actual: object, message: str) -> None:
    error = InvalidInput("k", actual, "1")
    assert str(error) == message
    assert (error.field, error.actual, error.expected) == ("k", actual, "1")


def test_a_value_is_repeated_as_far_as_it_can_be_recognised() -> None:
    assert shorten("a text") == "a text"
    assert shorten([1, "b"]) == "[1, 'b']"
    assert shorten(list(range(100))) == f"{list(range(100))}"[:120] + "…"


def test_a_bundle_is_named_as_clients_name_it() -> None:
    assert str(BundleRefused(Path("models/sum/3"), "why")) == "bundle sum/3 refused: why"
    assert str(BundleRefused(Path("models/sum"), "why")) == "bundle sum refused: why"


def test_a_message_has_the_numbers_that_it_is_about() -> None:
    assert str(ModelNotFound("sum", 3)) == "Request for unknown model: 'sum' version '3' is not found"
    assert "its queue holds 7 rows" in str(Overloaded("sum", 7, 0.5))
    assert str(RowsChanged("y", (3, 2), 2)) == "output y: 2 rows went in, and shape [3, 2] came out"


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 axes"), (1, "1 axis"), (2, "2 axes")], ids=["none", "one", "two"]
)
def test_a_noun_stands_in_the_number_of_its_count(number: int, words: str) -> None:
    assert counted(number, "axis", "axes") == words
    assert counted(number, "row") == words.replace("axes", "rows").replace("axis", "row")
