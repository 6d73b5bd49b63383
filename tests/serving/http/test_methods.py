"""Methods that a path does not take."""

import json

from serving.http.methods import other_method


def test_another_method_is_refused_with_those_that_there_are() -> None:
    answer = other_method("PUT", ("POST", "GET"))
    assert answer.status == 405
    assert (b"allow", b"GET, HEAD, POST, OPTIONS") in answer.headers
    assert json.loads(answer.body) == {"error": "method: got PUT, expected GET or POST"}


def test_options_is_answered_with_the_methods_and_no_body() -> None:
    answer = other_method("OPTIONS", ("POST",))
    assert (answer.status, answer.headers, answer.body) == (204, [(b"allow", b"POST, OPTIONS")], b"")
