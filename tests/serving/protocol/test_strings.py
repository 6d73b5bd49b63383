"""2.5 BYTES that are no UTF-8: through a graph that passes them, and out again as they were."""

import struct
import threading
from typing import Any

import httpx
import pytest

from tests.serving.protocol.wire import packed, unpacked

ODD = [b"\xff\x00\xfe", b"\x00", b"", b"caf\xe9" * 40, "naïve".encode(), b"\xed\xa0\x80", b"\x80"]


def blob(elements: list[bytes]) -> bytes:
    return b"".join(struct.pack("<I", len(element)) + element for element in elements)


def ask(http: httpx.Client, elements: list[bytes], **extra: Any) -> httpx.Response:
    given = {
        "name": "x", "shape": [len(elements), 1], "datatype": "BYTES",
        "parameters": {"binary_data_size": len(blob(elements))},
    }  # fmt: skip
    body, headers = packed({"inputs": [given], **extra}, blob(elements))
    return http.post("/v2/models/echo/infer", content=body, headers=headers)


BINARY = {"parameters": {"binary_data_output": True}}


@pytest.mark.parametrize("elements", [[element] for element in ODD] + [ODD])
def test_bytes_come_out_as_they_went_in(http: httpx.Client, elements: list[bytes]) -> None:
    told, rest = unpacked(ask(http, elements, **BINARY))
    assert told["outputs"][0]["shape"] == [len(elements), 1]
    assert rest == blob(elements)


def test_in_json_a_byte_that_is_no_text_is_the_replacement_character(http: httpx.Client) -> None:
    output = ask(http, [b"\xffa", "é".encode()]).json()["outputs"][0]
    assert output["data"] == ["\ufffda", "é"]


def test_a_raw_request_may_be_any_bytes(http: httpx.Client) -> None:
    headers = {"Inference-Header-Content-Length": "0"}
    _, rest = unpacked(http.post("/v2/models/echo/infer", content=b"\xff\xfe", headers=headers))
    assert rest == blob([b"\xff\xfe"])


def test_neighbours_in_a_batch_get_their_own(http: httpx.Client) -> None:
    wrong: list[object] = []

    def ask_often(number: int) -> None:
        odd = [b"\xff%d" % number, b"\x00\xfe" * number] if number % 2 else [b"plain %d" % number]
        for _ in range(20):
            _, rest = unpacked(ask(http, odd, **BINARY))
            if rest != blob(odd):
                wrong.append(rest)

    threads = [threading.Thread(target=ask_often, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
