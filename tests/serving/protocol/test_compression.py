"""2.5 Compressed bodies, both ways."""

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest

from tests.serving.protocol.wire import BLOB, binary_head, echo, packed, refused, unpacked


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_bodies(http: httpx.Client, encoding: str, pack: Any) -> None:
    body, headers = packed(binary_head(), BLOB)
    headers["content-encoding"] = encoding
    answer = http.post("/v2/models/flex/infer", content=pack(body), headers=headers)
    assert answer.json()["outputs"][0]["data"] == [1.0, 2.0]


def test_a_bomb_does_not_go_off(http: httpx.Client) -> None:
    bomb = gzip.compress(bytes(1 << 24))
    refused(
        http.post("/v2/models/flex/infer", content=bomb, headers={"content-encoding": "gzip"}), 413, "gzip"
    )
    broken = gzip.compress(b"{}" * 100)[:-9]
    refused(
        http.post("/v2/models/flex/infer", content=broken, headers={"content-encoding": "gzip"}), 400, "gzip"
    )
    refused(
        http.post("/v2/models/flex/infer", content=b"no", headers={"content-encoding": "gzip"}), 400, "gzip"
    )


@pytest.mark.parametrize(
    ("accepted", "chosen"),
    [
        ("gzip", "gzip"), ("deflate", "deflate"), ("gzip;q=0.2, deflate;q=0.8", "deflate"), ("*", "gzip"),
        ("gzip;q=0", None), ("identity", None), ("br", None), ("gzip;q=0.1, identity;q=0.5", None), ("gzip;q=x", None),
    ],
)  # fmt: skip
def test_answers_are_compressed_as_the_caller_likes(
    http: httpx.Client, accepted: str, chosen: str | None
) -> None:
    body = echo([0] * 2000, [1, 2000], parameters={"binary_data_output": True})
    answer = http.post(
        "/v2/models/flex/infer", content=json.dumps(body), headers={"accept-encoding": accepted}
    )
    assert answer.headers.get("content-encoding") == chosen
    told, rest = unpacked(answer)  # httpx has decompressed it, and the length is that of the plain JSON
    assert told["outputs"][0]["shape"] == [1, 2000]
    assert len(rest) == 8000


def test_the_length_of_the_json_part_counts_what_was_compressed(http: httpx.Client) -> None:
    body, headers = packed(binary_head(parameters={"binary_data_output": True}), BLOB)
    packed_body = gzip.compress(body)
    length = int(headers["Inference-Header-Content-Length"])
    assert length > len(packed_body) - 40  # it may be more than arrives
    headers["content-encoding"] = "gzip"
    told, rest = unpacked(http.post("/v2/models/flex/infer", content=packed_body, headers=headers))
    assert (told["outputs"][0]["shape"], rest) == ([1, 2], BLOB)
