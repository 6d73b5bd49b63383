"""API keys for predictions: a file of them, read again when it changes, and the limits of each client.

A line of the file is `NAME KEY [rate=N] [concurrency=N]`. KEY is the key itself, or `sha256:` with its digest in
hexadecimal, so that who reads the file cannot use it. A name may have several lines while its key is replaced.
"""

import hashlib
import logging
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from inference.errors import LimitExceeded, Unauthenticated, counted
from inference.folder import states_of
from serving.access.bearer import TOKEN, bearer_token
from serving.access.bucket import TokenBucket

log = logging.getLogger("baton.access")

MAX_BYTES = 1 << 20
MAX_NAMES = 1024
"""Each is a label of two metrics."""
LEAST_KEY = 16
"""Characters of a key that stands in the file as it is; `baton key` makes 43."""
_DIGEST = "sha256:"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_HEX = re.compile(r"[0-9a-f]{64}")
_HEADER = b"x-api-key"


class KeysRefused(Exception):
    """The file cannot be used: names the line, what came and what was expected."""


class Limits(NamedTuple):
    """Of one client, in the whole server; None for none."""

    rate: float | None = None
    """Requests a second."""
    concurrency: int | None = None
    """Requests at once."""

    def share(self, processes: int) -> "Limits":
        """The part of one of so many processes, as `--max-queue-rows` is divided."""
        rate = None if self.rate is None else self.rate / processes
        return Limits(rate, None if self.concurrency is None else -(-self.concurrency // processes))


class ApiClient:
    """A client with a key, by its name in the file: its requests now, and the counts of those that were."""

    __slots__ = ("_bucket", "active", "admitted", "limits", "name", "refused")

    def __init__(self, name: str, limits: Limits) -> None:
        """`limits`: in this process."""
        self.name, self.limits = name, limits
        self.active = self.admitted = self.refused = 0
        self._bucket = self._new_bucket()

    def change(self, limits: Limits) -> None:
        """Other limits, from the next request on."""
        if limits != self.limits:
            self.limits = limits
            self._bucket = self._new_bucket()

    def admit(self) -> None:
        """Count a request whose head is here against the rate; `LimitExceeded`."""
        self._check_concurrency()
        if self._bucket is not None:
            wait_s = self._bucket.take(time.monotonic())
            if wait_s:
                self.refused += 1
                raise LimitExceeded(
                    f"API key '{self.name}': over its rate of {self.limits.rate:g} requests a second", wait_s
                )

    def enter(self) -> None:
        """A request is here whole; `leave` has to follow. `LimitExceeded`."""
        self._check_concurrency()  # again: others have come whole since its head was here
        self.active += 1
        self.admitted += 1

    def leave(self) -> None:
        """A request that has entered is answered."""
        self.active -= 1

    def _check_concurrency(self) -> None:
        limit = self.limits.concurrency
        if limit is not None and self.active >= limit:
            self.refused += 1
            at_once = f"its limit of {counted(limit, 'request')} at once"
            raise LimitExceeded(f"API key '{self.name}': {at_once} is reached", 1.0)

    def _new_bucket(self) -> TokenBucket | None:
        rate = self.limits.rate
        return None if rate is None else TokenBucket(rate, rate, time.monotonic())


class ApiKeys:
    """The keys of a file. Clients keep their counts and their requests when it is read again."""

    def __init__(self, file: Path, processes: int = 1) -> None:
        """`processes`: that share the limits. `KeysRefused`."""
        self._file, self._processes = file, processes
        self._tried = states_of(file)
        self._by_digest: dict[bytes, ApiClient] = {}
        self.clients: dict[str, ApiClient] = {}
        self._take(_read(file))

    def identify(self, headers: Mapping[bytes, bytes]) -> ApiClient:
        """The client whose key stands in `Authorization: Bearer` or, without that, in `X-API-Key`.

        `Unauthenticated` for no key and for one that is not in the file.
        """
        key = bearer_token(headers) or headers.get(_HEADER)
        if key is None:
            raise Unauthenticated("API key: missing, expected Authorization: Bearer KEY", wrong=False)
        # A digest leads to its client by a table: how long that takes says nothing about a key.
        client = self._by_digest.get(hashlib.sha256(key).digest())
        if client is None:
            raise Unauthenticated("API key: got one that is not known here, expected one that is", wrong=True)
        return client

    def refresh(self) -> None:
        """Read the file again if it has changed; one that cannot be used changes nothing, and is logged once."""
        current = states_of(self._file)
        if current == self._tried:
            return
        self._tried = current
        try:
            self._take(_read(self._file))
        except KeysRefused as error:
            log.error("the old API keys stay: %s", error)
        else:
            log.info("%s from %s", counted(len(self._by_digest), "API key"), self._file)

    def _take(self, read: "_Read") -> None:
        clients: dict[str, ApiClient] = {}
        for name, limits in read.limits.items():
            share = limits.share(self._processes)
            clients[name] = client = self.clients.get(name) or ApiClient(name, share)
            client.change(share)
        self.clients = clients
        self._by_digest = {digest: clients[name] for digest, name in read.names.items()}


class _Read(NamedTuple):
    limits: dict[str, Limits]
    names: dict[bytes, str]
    """By the digest of the key."""


def _read(file: Path) -> _Read:
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise KeysRefused(
            f"--api-keys: got {str(file)!r} ({error.strerror}), expected a file of API keys"
        ) from error
    if len(data) > MAX_BYTES:
        raise KeysRefused(
            f"--api-keys: got {str(file)!r} of more than {MAX_BYTES} bytes, expected at most that"
        )
    read = _Read({}, {})
    for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                _add(read, words)
            except ValueError as error:
                raise KeysRefused(f"--api-keys: {file}, line {number}: {error}") from error
    if not read.names:
        raise KeysRefused(f"--api-keys: got {str(file)!r} without a key, expected at least one")
    return read


def _add(read: _Read, words: list[str]) -> None:
    """`ValueError` says what is wrong with a line, and never repeats a key."""
    name = words[0]
    if not _NAME.fullmatch(name):
        raise ValueError("name: expected 1 to 64 letters, digits and any of _.-")
    if len(words) < 2:
        raise ValueError(f"key of '{name}': missing, expected the key or {_DIGEST} with its digest")
    digest, limits = _digest(words[1]), _limits(words[2:])
    if read.limits.setdefault(name, limits) != limits:
        raise ValueError(f"limits of '{name}': got others than on a line before, expected the same")
    if len(read.limits) > MAX_NAMES:
        raise ValueError(f"name: got the {len(read.limits)}th, expected at most {MAX_NAMES}")
    if read.names.setdefault(digest, name) != name:
        raise ValueError(f"key of '{name}': got the one of '{read.names[digest]}', expected another")


def _digest(word: str) -> bytes:
    if word.startswith(_DIGEST):
        digest = word.removeprefix(_DIGEST).lower()
        if not _HEX.fullmatch(digest):
            raise ValueError(f"key: got {_DIGEST} with {len(digest)} characters, expected 64 in hexadecimal")
        return bytes.fromhex(digest)
    if len(word) < LEAST_KEY:
        raise ValueError(f"key: got {counted(len(word), 'character')}, expected at least {LEAST_KEY}")
    if not TOKEN.fullmatch(word.encode()):
        raise ValueError("key: expected letters, digits and any of -._~+/, then perhaps =")
    return hashlib.sha256(word.encode()).digest()


def _limits(words: list[str]) -> Limits:
    rate: float | None = None
    concurrency: int | None = None
    for word in words:
        name, _, value = word.partition("=")
        if name == "rate" and rate is None and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
            rate = float(value)
        elif name == "concurrency" and concurrency is None and re.fullmatch(r"[0-9]{1,9}", value):
            concurrency = int(value)
        else:
            raise ValueError(f"limit: got {word!r}, expected rate=REQUESTS_A_SECOND or concurrency=REQUESTS")
    if rate == 0 or concurrency == 0:
        raise ValueError("limit: got 0, expected more: a client without requests needs no key")
    return Limits(rate, concurrency)


def new_key() -> str:
    """A key that nobody can guess: 256 bits."""
    return secrets.token_urlsafe(32)


def line_of(name: str, key: str, rate: str = "", concurrency: str = "") -> str:
    """The line of the file for a key; `ValueError` where the file may not have it."""
    words = [name, f"{_DIGEST}{hashlib.sha256(key.encode()).hexdigest()}"]
    words += [f"rate={rate}"] if rate else []
    words += [f"concurrency={concurrency}"] if concurrency else []
    _add(_Read({}, {}), words)
    return " ".join(words)
