"""Who may load and unload: by token, by listener, by page; wrong tokens wait, and a right one does not."""

import asyncio
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from inference.errors import Forbidden, LimitExceeded, Unauthenticated
from serving.access.administration import MAX_WAITING, Administration
from serving.access.refusals import Refusals
from serving.listening import Address, TcpAddress, UnixAddress

TOKEN = SecretStr("only for tests")
RIGHT = {b"authorization": b"Bearer only for tests"}
WRONG = {b"authorization": b"Bearer something else"}
UNIX = UnixAddress(Path("/run/admin.sock"))
TCP = TcpAddress("127.0.0.1", 8001)


def made(token: SecretStr | None = TOKEN, address: Address | None = None, *origins: str) -> Administration:
    return Administration(token, address, origins, Refusals())


async def ask(of: Administration, headers: dict[bytes, bytes], arrived: Address | None = None) -> None:
    await of.admit(headers, arrived, "192.0.2.1")


@pytest.mark.parametrize("header", [b"only for tests", b"Basic only for tests", b"Bearer", None])
def test_a_token_without_its_scheme_is_none(header: bytes | None) -> None:
    headers = {} if header is None else {b"authorization": header}
    with pytest.raises(Unauthenticated, match="missing") as refused:
        asyncio.run(ask(made(), headers))
    assert not refused.value.wrong


@pytest.mark.slow
def test_wrong_tokens_wait_longer_and_longer_and_a_right_one_never() -> None:
    async def scene() -> None:
        guarded = made()
        waits: list[float] = []
        for _ in range(3):
            begun = time.monotonic()
            with pytest.raises(Unauthenticated, match="wrong") as refused:
                await ask(guarded, WRONG)
            assert refused.value.wrong
            waits.append(time.monotonic() - begun)
        assert waits[0] >= 0.05
        assert waits[2] >= 0.1
        waiting = [asyncio.ensure_future(ask(guarded, WRONG)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        await ask(guarded, RIGHT)
        assert not any(task.done() for task in waiting)
        with pytest.raises(LimitExceeded):
            await ask(guarded, WRONG)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(Unauthenticated):  # their places are free again
            await ask(guarded, WRONG)

    asyncio.run(scene())


def test_wrong_tokens_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now, waits = 0.0, list[float]()
    monkeypatch.setattr("serving.access.administration.time.monotonic", lambda: now)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("serving.access.administration.asyncio.sleep", sleep)
    guarded = made()

    def tries(number: int) -> None:
        for _ in range(number):
            with pytest.raises(Unauthenticated):
                asyncio.run(ask(guarded, WRONG))

    tries(20)
    assert waits[:5] == pytest.approx([0.05, 0.1, 0.2, 0.4, 0.8])
    assert waits[5:] == [1.0] * 15
    now += 200
    tries(1)
    assert waits[-1] == pytest.approx(0.05)


@pytest.mark.parametrize("token", [TOKEN, None])
def test_with_a_listener_of_its_own_administration_is_nowhere_else(token: SecretStr | None) -> None:
    guarded = made(token, TCP)
    with pytest.raises(Forbidden, match="not on this port"):
        asyncio.run(ask(guarded, RIGHT))
    with pytest.raises(Forbidden, match="not on this port"):
        guarded.check_listener(None, "")
    guarded.check_listener(TCP, "")
    made().check_listener(None, "")


def test_a_unix_socket_does_without_a_token_only_where_none_is_set() -> None:
    asyncio.run(ask(made(None, UNIX), {}, UNIX))
    with pytest.raises(Unauthenticated):
        asyncio.run(ask(made(TOKEN, UNIX), {}, UNIX))
    with pytest.raises(Forbidden, match="administration is off"):
        asyncio.run(ask(made(None, TCP), {}, TCP))
    with pytest.raises(Forbidden, match="administration is off"):
        asyncio.run(ask(made(None), RIGHT))


OWN, TRUSTED, FOREIGN = b"http://baton:8000", b"https://app.example.com", b"https://evil.example"


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, True),
        ({b"origin": OWN}, True),
        ({b"origin": OWN.upper()}, True),
        ({b"origin": TRUSTED, b"sec-fetch-site": b"cross-site"}, True),
        ({b"origin": OWN, b"sec-fetch-site": b"same-origin"}, True),
        # Behind a proxy that asks by another name.
        ({b"origin": b"https://models.example.com", b"sec-fetch-site": b"same-origin"}, True),
        ({b"sec-fetch-site": b"none"}, True),
        ({b"origin": FOREIGN}, False),
        ({b"origin": b"null"}, False),
        ({b"origin": b"http://["}, False),
        ({b"origin": OWN, b"sec-fetch-site": b"cross-site"}, False),
        ({b"sec-fetch-site": b"cross-site"}, False),
        ({b"origin": b"http://baton:9000", b"sec-fetch-site": b"same-site"}, False),
    ],
)
def test_a_page_of_another_site_cannot_have_its_visitor_load_or_unload(
    headers: dict[bytes, bytes], let_in: bool
) -> None:
    guarded = made(TOKEN, None, TRUSTED.decode())
    asked = ask(guarded, {b"host": b"baton:8000", **RIGHT, **headers})
    if let_in:
        asyncio.run(asked)
    else:
        with pytest.raises(Forbidden, match="Origin: got"):
            asyncio.run(asked)
