"""The gate counts each refusal, and a key that is taken back between head and body no longer counts."""

from pathlib import Path

import pytest

from inference.errors import LimitExceeded, Unauthenticated
from serving.access.gate import Gate
from serving.access.refusals import Refusals
from tests.serving.access.test_keys import KEY, OTHER, bearer, write


def test_a_key_that_is_taken_back_while_a_body_comes_lets_nobody_in(tmp_path: Path) -> None:
    file, refusals = write(tmp_path / "keys", f"alice {KEY} concurrency=1"), Refusals()
    gate = Gate(file, 1, refusals)
    gate.admit(bearer(KEY), "")
    client = gate.enter(bearer(KEY), "")
    for step in (gate.admit, gate.enter):
        with pytest.raises(LimitExceeded):
            step(bearer(KEY), "")
    client.leave()
    gate.admit(bearer(KEY), "")
    write(file, f"bob {OTHER}")
    gate.keys.refresh()
    with pytest.raises(Unauthenticated):
        gate.enter(bearer(KEY), "")
    assert (refusals.counts["limit"], refusals.counts["key"]) == (2, 1)
