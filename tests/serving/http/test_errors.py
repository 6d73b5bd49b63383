"""The status of every kind of error, and the one body that all have."""

import inspect
import json

import pytest

from inference import errors
from serving.http.errors import STATUS, error_body, error_headers, status_of


def test_every_error_has_a_status() -> None:
    named = {
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.BatonError)
    }
    assert set(STATUS) == named
    assert all(400 <= status < 600 for status in STATUS.values())


def test_an_error_nobody_named_has_the_status_of_its_kind() -> None:
    class Odd(errors.InputTooLarge):
        pass

    assert status_of(Odd("body", 1, "less")) == 413


def test_overload_says_when_to_come_again() -> None:
    assert error_headers(errors.Overloaded("m", 8, 1.2)) == [(b"retry-after", b"2")]
    assert error_headers(errors.Overloaded("m", 8, 0.0)) == [(b"retry-after", b"1")]


def test_an_error_that_is_not_ours_has_no_status() -> None:
    class Foreign(Exception):
        pass

    with pytest.raises(TypeError, match="Foreign is not one of Baton's errors"):
        status_of(Foreign())  # type: ignore[arg-type]


def test_a_body_is_json_whatever_a_client_has_sent() -> None:
    assert json.loads(error_body('a "quote"')) == {"error": 'a "quote"'}
    assert json.loads(error_body("half a pair \ud800")) == {"error": "half a pair ?"}
