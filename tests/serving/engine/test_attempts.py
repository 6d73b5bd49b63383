"""A version that does not serve has been refused, or is waited for; its files decide when it is tried again."""

import time
from pathlib import Path

import pytest

from inference.errors import DigestMismatch, FileMissing, GraphInvalid, InvalidInput, ManifestInvalid
from inference.folder import FileState, Fingerprint
from inference.store.located import Located
from serving.engine.attempts import PATIENCE_S, Attempts

KEY = ("m", 1)


def files(size: int) -> Fingerprint:
    return (FileState("model.onnx", 1, size, 0, 0),)


def located(graph: str | None = None) -> Located:
    return Located("m", 1, Path("m/1"), graph)


def test_a_refusal_holds_for_the_files_as_they_were() -> None:
    attempts = Attempts()
    attempts.refuse(KEY, files(1), "a bad digest", ValueError())
    refusal = attempts.refusal(KEY, files(1))
    assert refusal is not None
    assert refusal.reason == "a bad digest"
    assert not attempts.is_due(KEY)
    assert attempts.refusal(KEY, files(2)) is None
    assert attempts.refused() == [KEY]


def test_a_disk_that_failed_is_tried_again_without_a_change() -> None:
    attempts = Attempts()
    attempts.refuse(KEY, files(1), "it cannot be read", OSError(5, "Input/output error"))
    refusal = attempts.refusal(KEY, files(1))
    assert refusal is not None
    assert attempts.is_due(KEY)
    assert attempts.is_due(KEY), "at every look"


def test_what_nobody_foresaw_is_tried_again_more_and_more_seldom() -> None:
    attempts, tries = Attempts(), []
    attempts.refuse(KEY, files(1), "no memory", MemoryError())
    for look in range(1, 40):
        if attempts.is_due(KEY):
            tries.append(look)
            attempts.refuse(KEY, files(1), "no memory", MemoryError())
    assert tries == [2, 5, 10, 19, 36]
    attempts.refuse(KEY, files(2), "no memory", MemoryError())
    assert not attempts.is_due(KEY)
    assert attempts.is_due(KEY), "other files begin anew"


def test_a_fault_of_files_that_came_just_now_is_waited_for_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts, now = Attempts(), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    attempts.wait(KEY, files(1))
    assert attempts.is_new(KEY, files(1))
    assert not attempts.is_new(KEY, files(2))
    attempts.wait(KEY, files(1), GraphInvalid(Path("m"), "half a graph"), "half a graph")
    assert attempts.fault(KEY) == "half a graph"
    now[0] = PATIENCE_S - 0.1
    assert attempts.is_new(KEY, files(1))
    attempts.wait(KEY, files(2))
    assert attempts.fault(KEY) == ""
    now[0] = 2 * PATIENCE_S
    assert not attempts.is_new(KEY, files(2))
    attempts.wait(KEY, files(3), OSError(5, "Input/output error"), "it cannot be read")
    assert attempts.fault(KEY) == "", "reading is tried at every look"


def test_a_version_is_refused_or_waited_for_and_never_both() -> None:
    attempts = Attempts()
    attempts.wait(KEY, files(1))
    attempts.refuse(KEY, files(1), "bad", ValueError())
    attempts.wait(KEY, files(2))
    assert attempts.refused() == []
    assert attempts.lies_still(KEY, files(2))
    assert not attempts.lies_still(KEY, files(1))
    attempts.forget(KEY)
    assert attempts.keys() == set()


def test_half_a_bundle_waits_until_it_lies_still_and_a_manifest_does_not() -> None:
    attempts = Attempts()
    assert attempts.must_lie_still(located("model.onnx"))
    assert not attempts.must_lie_still(located())


def test_a_wrong_digest_makes_a_version_wait_until_its_files_lie_still() -> None:
    attempts = Attempts()
    attempts.wait(KEY, files(1), DigestMismatch(Path("m/1"), "model.onnx"))
    assert attempts.must_lie_still(located())
    attempts.wait(KEY, files(2))
    assert attempts.must_lie_still(located()), "still"


@pytest.mark.parametrize(
    ("error", "may_mend"),
    [
        (FileMissing(Path("m"), "no manifest"), True),
        (ManifestInvalid(Path("m"), "no JSON"), True),
        (OSError(), True),
        (GraphInvalid(Path("m"), "half a graph"), True),
        (InvalidInput("x", 1, "2"), False),
        (ValueError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_faults_that_a_copy_under_way_makes_are_waited_for(error: Exception, may_mend: bool) -> None:
    assert Attempts().may_mend(error) is may_mend
