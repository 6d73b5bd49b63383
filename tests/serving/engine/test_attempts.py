"""A version that does not serve has been refused, or is waited for; its files decide when it is tried again."""

from pathlib import Path

import pytest

from inference.errors import DigestMismatch, FileMissing, InvalidInput, ManifestInvalid
from inference.folder import FileState, Fingerprint
from inference.store.located import Located
from serving.engine.attempts import Attempts

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
    assert (refusal.reason, refusal.again) == ("a bad digest", False)
    assert attempts.refusal(KEY, files(2)) is None
    assert attempts.refused() == [KEY]


def test_a_disk_that_failed_is_tried_again_without_a_change() -> None:
    attempts = Attempts()
    attempts.refuse(KEY, files(1), "it cannot be read", OSError(5, "Input/output error"))
    refusal = attempts.refusal(KEY, files(1))
    assert refusal is not None
    assert refusal.again


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
        (InvalidInput("x", 1, "2"), False),
        (ValueError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_faults_that_a_copy_under_way_makes_are_waited_for(error: Exception, may_mend: bool) -> None:
    assert Attempts().may_mend(error) is may_mend
