"""API keys: the file and its faults, limits, rotation and revocation."""

import hashlib
import logging
from pathlib import Path

import pytest

from inference.errors import LimitExceeded, Unauthenticated
from serving.access.keys import ApiClient, ApiKeys, KeysRefused, Limits, line_of, new_key

KEY, OTHER = "0123456789abcdef", "fedcba9876543210"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


def bearer(key: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key}".encode()}


def write(file: Path, *lines: str) -> Path:
    file.write_text("\n".join(lines) + "\n")
    return file


@pytest.mark.parametrize("stored", [KEY, f"sha256:{DIGEST}", f"sha256:{DIGEST.upper()}"])
def test_a_key_is_known_by_itself_or_by_its_digest(tmp_path: Path, stored: str) -> None:
    keys = ApiKeys(write(tmp_path / "keys", "# ours", "", f"alice {stored} rate=2.5 concurrency=3  # hers"))
    client = keys.identify(bearer(KEY))
    assert (client.name, client.limits) == ("alice", Limits(2.5, 3))
    assert keys.identify({b"x-api-key": KEY.encode()}) is client
    with pytest.raises(Unauthenticated, match="missing") as missing:
        keys.identify({b"authorization": KEY.encode()})  # without its scheme
    assert not missing.value.wrong
    for headers in (
        bearer(OTHER),
        bearer(stored) if stored != KEY else bearer(DIGEST),
        {b"x-api-key": b"\xff"},
    ):
        with pytest.raises(Unauthenticated, match="not known") as wrong:
            keys.identify(headers)
        assert wrong.value.wrong


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("alice", "line 2: key of 'alice': missing"),
        ("al!ce 0123456789abcdef", "line 2: name: expected"),
        (f"alice {KEY[:-1]}", "got 15 characters, expected at least 16"),
        (f"alice {KEY}{{}}", "expected letters"),
        ("alice sha256:12", "with 2 characters, expected 64"),
        (f"alice {KEY} rate=fast", "got 'rate=fast'"),
        (f"alice {KEY} rate=1 rate=2", "got 'rate=2'"),
        (f"alice {KEY} concurrency=-1", "got 'concurrency=-1'"),
        (f"alice {KEY} rate=1e400", "got 'rate=1e400'"),
        (f"alice {KEY} rate=0", "got 0, expected more"),
        (f"alice {KEY} burst=3", "got 'burst=3'"),
        (f"bob {OTHER} rate=2", "limits of 'bob': got others"),
        (f"carol {OTHER}", "key of 'carol': got the one of 'bob'"),
    ],
)
def test_a_line_at_fault_is_named_without_its_key(tmp_path: Path, line: str, said: str) -> None:
    file = write(tmp_path / "keys", f"bob {OTHER}", line)
    with pytest.raises(KeysRefused) as refused:
        ApiKeys(file)
    assert said in str(refused.value)
    assert KEY[:-1] not in str(refused.value)
    assert OTHER not in str(refused.value)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    for file, said in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (write(tmp_path / "empty", "# nobody"), "without a key"),
        (write(tmp_path / "big", "#" * (1 << 20)), "more than 1048576 bytes"),
        (
            write(tmp_path / "many", *(f"c{n} {n:016}" for n in range(1025))),
            "got the 1025th, expected at most 1024",
        ),
    ):
        with pytest.raises(KeysRefused, match=said):
            ApiKeys(file)


def test_a_changed_file_takes_back_a_key_and_keeps_what_a_client_has_under_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path / "keys", f"alice {KEY} concurrency=1", f"bob {OTHER}")
    keys = ApiKeys(file)
    alice = keys.identify(bearer(KEY))
    alice.enter()
    keys.refresh()
    assert keys.identify(bearer(KEY)) is alice
    rotated = new_key()
    write(file, line_of("alice", rotated, concurrency="2"))
    keys.refresh()
    for taken_back in (KEY, OTHER):
        with pytest.raises(Unauthenticated):
            keys.identify(bearer(taken_back))
    assert keys.identify(bearer(rotated)) is alice
    assert (alice.active, alice.limits.concurrency, list(keys.clients)) == (1, 2, ["alice"])
    with caplog.at_level(logging.ERROR):
        for content in (f"alice {KEY[:3]}", None):
            if content is None:
                file.unlink()
            else:
                write(file, content)
            for _ in range(2):
                keys.refresh()
            assert keys.identify(bearer(rotated)) is alice
    assert len([each for each in caplog.records if "the old API keys stay" in each.message]) == 2


def test_limits_refuse_what_is_over_them_and_say_when_to_come_again() -> None:
    client = ApiClient("alice", Limits(0.5, 2))
    client.admit()
    with pytest.raises(LimitExceeded, match=r"over its rate of 0\.5 requests a second") as refused:
        client.admit()
    assert 1 < refused.value.retry_after_s <= 2
    client.enter()
    client.enter()
    with pytest.raises(LimitExceeded, match="its limit of 2 requests at once is reached"):
        client.enter()
    client.leave()
    client.enter()
    assert (client.active, client.admitted, client.refused) == (2, 3, 2)


def test_requests_over_the_limit_of_those_at_once_use_up_no_rate() -> None:
    client = ApiClient("alice", Limits(1.0, 1))
    client.enter()
    for _ in range(3):
        with pytest.raises(LimitExceeded, match="at once"):
            client.admit()
    client.leave()
    client.admit()


def test_several_processes_share_the_limits() -> None:
    assert Limits(10.0, 5).share(4) == Limits(2.5, 2)
    assert Limits().share(4) == Limits()
