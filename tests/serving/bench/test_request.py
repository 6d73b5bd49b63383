"""Requests are made from a model's metadata, or from a file."""

import http.client
import io
import json
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import numpy as np
import pytest

from serving.bench.request import (
    Body,
    ModelMetadata,
    build_target,
    file_body,
    parse_shape,
    parse_url,
    random_bodies,
    read_metadata,
    read_server,
)
from serving.bench.values import BenchError
from tests.serving.bench.server import Tiny, running


def _metadata(datatype: str = "FP32", shape: tuple[int, ...] = (-1, 3)) -> ModelMetadata:
    tensor = {"name": "x", "datatype": datatype, "shape": list(shape)}
    return ModelMetadata.model_validate({"name": "m", "inputs": [tensor]})


def _input(body: Body) -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads(body.data)["inputs"][0])


def test_random_bodies_differ_and_are_those_of_the_seed() -> None:
    first = random_bodies(_metadata(), 2, {}, binary=False, seed=1)
    assert len({body.data for body in first}) == len(first) == 16
    assert first == random_bodies(_metadata(), 2, {}, binary=False, seed=1)
    assert first != random_bodies(_metadata(), 2, {}, binary=False, seed=2)


def test_open_axes_are_filled_and_a_given_shape_wins() -> None:
    metadata = _metadata(shape=(-1, -1, 4))
    assert _input(random_bodies(metadata, 3, {}, binary=False)[0])["shape"] == [3, 16, 4]
    assert _input(random_bodies(metadata, 3, {"x": (1, 2, 4)}, binary=False)[0])["shape"] == [1, 2, 4]


@pytest.mark.parametrize(("datatype", "top"), [("INT64", 1000), ("UINT8", 255), ("BOOL", 2)])
def test_whole_numbers_stay_below_a_vocabulary_and_their_type(datatype: str, top: int) -> None:
    data = _input(random_bodies(_metadata(datatype, (-1, 500)), 1, {}, binary=False)[0])["data"]
    assert 0 <= min(data) <= max(data) < top


def test_a_binary_body_holds_the_numbers_that_its_head_describes() -> None:
    body = random_bodies(_metadata(), 2, {}, binary=True)[0]
    cut = int(body.headers["Inference-Header-Content-Length"])
    head, numbers = json.loads(body.data[:cut]), np.frombuffer(body.data[cut:], np.float32)
    assert head["inputs"][0]["parameters"] == {"binary_data_size": 24}
    assert head["parameters"] == {"binary_data_output": True}
    assert len(numbers) == 6


@pytest.mark.parametrize(
    ("datatype", "shapes", "message"),
    [
        ("BYTES", {}, "input 'x': got BYTES, expected numbers"),
        ("FP16", {}, "input 'x': got FP16, expected FP32 or FP64"),
        ("FP32", {"z": (1, 3)}, "--shape: got input 'z', expected one of 'm': x"),
    ],
)
def test_an_input_that_cannot_be_filled_is_refused(
    datatype: str, shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(BenchError, match=message):
        random_bodies(_metadata(datatype), 1, shapes, binary=False)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("cat.jpg", None, "image/jpeg"),
        ("x.json", None, "application/json"),
        ("x", None, "application/octet-stream"),
        ("cat.jpg", "image/x", "image/x"),
    ],
)
def test_the_type_of_a_file_goes_by_its_name_unless_it_is_given(
    tmp_path: Path, name: str, given: str | None, expected: str
) -> None:
    file = tmp_path / name
    file.write_bytes(b"content")
    assert file_body(file, given) == Body(b"content", {"Content-Type": expected})


def test_a_target_holds_whole_requests() -> None:
    url = parse_url("http://host:80")
    (request,) = build_target(url, "/p", [Body(b"{}", {"Content-Type": "x/y"})], {"A": "b"}).requests
    line, _, rest = request.partition(b"\r\n")
    assert line == b"POST /p HTTP/1.1"
    fields = http.client.parse_headers(io.BytesIO(rest))
    assert dict(fields) == {"Host": "host:80", "Content-Length": "2", "Content-Type": "x/y", "A": "b"}
    assert rest.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("text", ["x", "x:", "x:1,-1", "x:a", ":1,2", "x:536870912"])
def test_a_shape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match=r"--shape: got .*, expected name:1,3,224,224"):
        parse_shape(text)


def test_a_shape_is_a_name_and_axes() -> None:
    assert parse_shape("a:b:1,64") == ("a:b", (1, 64))


@pytest.mark.parametrize("text", ["nonsense", "ftp://host", "http://", "http://h:0", "http://h:x"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BenchError, match=r"URL: got .*, expected http://host:port"):
        parse_url(text)


def test_metadata_and_the_servers_name_are_read_from_the_server() -> None:
    with running(Tiny()) as tiny:
        url = urlsplit(tiny.url)
        assert read_metadata(url, "tiny", 5.0).inputs[0].shape == [-1, 3]
        assert read_server(url, 5.0) == "tiny"
