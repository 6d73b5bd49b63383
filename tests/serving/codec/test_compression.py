"""gzip and deflate: what is refused by size, by name and by what comes after."""

import gzip
import random
import zlib

import pytest

from inference.errors import InputTooLarge, InvalidInput, UnsupportedMediaType
from serving.codec.compression import Decompression, choose_encoding, compress, decompress


@pytest.mark.parametrize("encoding", ["gzip", "deflate", " GZIP "])
def test_a_body_of_exactly_the_limit_comes_back(encoding: str) -> None:
    body = compress(b"x" * 100, encoding.strip().lower())
    assert decompress(body, encoding, 100) == b"x" * 100
    with pytest.raises(InputTooLarge, match=r"^body: got more than 99 bytes after "):
        decompress(body, encoding, 99)


@pytest.mark.parametrize("size", [1, 1000, 100_000, 1 << 20])
def test_pieces_are_never_longer_than_asked_and_together_the_whole(size: int) -> None:
    whole = bytes(range(256)) * 40 if size == 1 else bytes(range(256)) * 4096
    stream, pieces = Decompression(compress(whole, "gzip"), "gzip", len(whole)), list[bytes]()
    while not stream.ended:
        pieces.append(stream.piece(size))
    assert max(map(len, pieces)) <= size
    assert b"".join(pieces) == whole


def test_a_bomb_is_refused_at_its_limit_and_not_unpacked_beyond() -> None:
    stream = Decompression(compress(bytes(50 << 20), "gzip"), "gzip", 1 << 20)
    assert len(stream.piece(1 << 20)) <= 1 << 20
    with pytest.raises(InputTooLarge):
        stream.piece(1 << 20)


def test_what_follows_a_stream_in_a_later_part_is_refused_too() -> None:
    body = compress(random.Random(0).randbytes(70_000), "gzip")
    for tail in (b"x", bytes(1 << 17)):
        with pytest.raises(InvalidInput, match="nothing after it"):
            decompress(body + tail, "gzip", 1 << 20)


def test_a_body_without_an_encoding_is_let_be() -> None:
    assert decompress(b"{}", "", 0) == decompress(b"{}", "Identity", 0) == b"{}"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (gzip.compress(b"{}", mtime=0) + b"x", "expected one whole gzip stream and nothing after it"),
        (gzip.compress(b"{}", mtime=0)[:-1], "expected one whole gzip stream and nothing after it"),
        (zlib.compress(b"{}"), "body: got 10 bytes (Error -3 "),
        (b"n", "body: got 1 byte, expected one whole gzip stream"),
    ],
    ids=["more", "less", "deflate", "one byte"],
)
def test_what_is_no_whole_stream_is_told(body: bytes, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        decompress(body, "gzip", 100)
    assert told in str(refused.value)


def test_another_encoding_is_told_which_are_read() -> None:
    with pytest.raises(UnsupportedMediaType, match=r"^Content-Encoding: got br, expected gzip or deflate$"):
        decompress(b"", "br", 100)


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [("", ""), ("gzip, deflate", "gzip"), ("deflate, gzip;q=0.9", "deflate"), ("*;q=0.1", "gzip"),
     ("gzip;q=0.4, identity;q=0.5", ""), ("gzip;q=none, deflate", "deflate")],
)  # fmt: skip
def test_the_encoding_is_the_one_liked_best(accepted: str, chosen: str) -> None:
    assert choose_encoding(accepted) == chosen
