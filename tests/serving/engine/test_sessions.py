"""A session is opened once, so that the one that was measured is the one that serves."""

from pathlib import Path

import pytest

from inference.store.bundle import Bundle
from inference.store.located import Located
from serving.engine.sessions import Sessions
from tests.bundles import sum_graph, write_bare, write_brightness


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    made = Sessions("cpu", None, None)
    bundle = Bundle.open(Located.at(write_brightness(tmp_path)), made.options(1))
    made.begin(bundle, "fp32", 1)
    return made


def test_one_session_for_the_same_threads_whatever_the_biggest_batch(sessions: Sessions) -> None:
    first = sessions.get(1, (), 16)
    assert sessions.get(1, (), 0) is first, "a CPU runs any batch in one"
    other = sessions.get(2, (), 16)
    assert other is not first
    assert other.options.threads == 2


def test_sessions_that_do_not_serve_are_dropped(sessions: Sessions) -> None:
    first, other = sessions.get(1, (), 16), sessions.get(2, (), 16)
    sessions.keep_only(other, None)
    assert sessions.get(2, (), 16) is other
    assert sessions.get(1, (), 16) is not first


def test_the_session_that_a_graph_was_looked_at_with_is_the_first(tmp_path: Path) -> None:
    """A folder without a manifest is known by opening its graph."""
    made = Sessions("cpu", None, None)
    bundle = Bundle.open(Located.at(write_bare(tmp_path, "sum", sum_graph())), made.options(3))
    assert bundle.session is not None
    made.begin(bundle, bundle.manifest.serve, 3)
    assert made.get(3, (), 64) is bundle.session
