"""Values that no model can take: each is refused by its field, with a 400 or 413, and is counted once."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from onnx import TensorProto, helper

from benchmarks.faults.bench import Bench, Server
from benchmarks.faults.matrix import case, expect
from benchmarks.graphs import Builder

_RAW = {"Inference-Header-Content-Length": "0"}
_INVALID = r'baton_requests_total\{.*outcome="invalid".*\}'


class _Ask(NamedTuple):
    """A request, and how it has to be refused: the status, and how the message begins."""

    path: str
    body: bytes
    headers: Mapping[str, str]
    status: int
    field: str


@case(
    "BYTES in JSON: a lone byte, half of a surrogate pair, numbers, null",
    "400 with the field, counted once each",
)
def strings_that_are_no_text(bench: Bench) -> str:
    texts = [b'"\xff"', rb'"\ud800"', b'"a\xc3"', b"5", b"null", b"[1]", b'{"a":1}']
    models = bench.models()
    builder = Builder()
    builder.op("Identity", "x", to="y")
    builder.write(
        models, "texts", helper.make_tensor_value_info("x", TensorProto.STRING, ["b", "n"]), ["b", "n"]
    )
    head = b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"BYTES","data":["a",%b]}]}'
    with bench.serve(models) as server:
        return _all_refused(
            server, [_Ask("/v2/models/texts/infer", head % text, {}, 400, "inputs[0].data") for text in texts]
        )


@case(
    "numbers over 64 bits, of 400 digits, 1e400 and NaN in every parameter of infer", "400, counted once each"
)
def numbers_beyond_64_bits(bench: Bench) -> str:
    values = [b"18446744073709551616", b"9" * 400, b"1e400", b"-1", b"1.5", b"NaN"]
    asked: list[_Ask] = []
    for value in values:
        for name in (b"timeout", b"priority"):
            asked.append(_infer(b"[1,1]", b'{"%b":%b}' % (name, value), b"", f"parameters.{name.decode()}"))
        asked.append(_infer(b"[1,%b]" % value, b"{}", b"", "inputs[0].shape"))
        outputs = b',"outputs":[{"name":"scores","parameters":{"classification":%b}}]' % value
        asked.append(_infer(b"[1,1]", b"{}", outputs, "outputs[0].parameters.classification"))
    # Which of them a parser can say no more of than that they are no numbers, it may say.
    lenient = [ask._replace(field="") if b"1e400" in ask.body or b"NaN" in ask.body else ask for ask in asked]
    with bench.serve(bench.models("retail")) as server:
        return _all_refused(server, lenient)


@case(
    "ids of a history over 64 bits, k of 400 digits, ids that are no ids",
    "400 or 413 with the field, counted once",
)
def ids_beyond_64_bits(bench: Bench) -> str:
    path = "/v1/models/retail:predict"
    odd = [b"18446744073709551616", b"-9223372036854775809", b"9" * 400, b"1.5", b"true", b"null", b"[]"]
    asked = [
        _Ask(path, b'{"instances":[{"history":[%b]}]}' % v, {}, 400, "instances[0].history[0]") for v in odd
    ]
    asked += [
        _Ask(
            path, b'{"instances":[{"history":["1"],"exclude":[%b]}]}' % v, {}, 400, "instances[0].exclude[0]"
        )
        for v in odd
    ]
    asked += [
        _Ask(path, b'{"instances":[{"history":["1"],"k":%b}]}' % v, {}, status, "instances[0].k")
        for v, status in ((b"18446744073709551616", 413), (b"9" * 400, 413), (b"-1", 400), (b"1.5", 400))
    ]
    with bench.serve(bench.models("retail")) as server:
        return _all_refused(server, asked)


@case("raw ids −1, as many as there are items, and of 64 bits", "400 with the place, counted once each")
def raw_ids_outside_of_the_table(bench: Bench) -> str:
    asked = [
        _Ask(f"/v2/models/{model}/infer", struct.pack("<3q", 1, value, 1), _RAW, 400, f"{name}[0, 1]")
        for model, name in (("retail", "history"), ("reviews", "ids"))
        for value in (-1, 10**6, 2**63 - 1, -(2**63))
    ]
    with bench.serve(bench.models("retail", "reviews")) as server:
        return _all_refused(server, asked)


@case(
    "a raw history of 8,000,000 ids, one of 101 and tokens over max_length",
    "413 with the bound; under 600 MB",
)
def rows_longer_than_the_manifest_says(bench: Bench) -> str:
    one = struct.pack("<q", 1)
    asked = [
        _Ask("/v2/models/retail/infer", one * 8_000_000, _RAW, 413, "history"),
        _Ask("/v2/models/retail/infer", one * 101, _RAW, 413, "history"),
        _Ask("/v2/models/reviews/infer", one * 1025, _RAW, 413, "ids"),
        _Ask("/v2/models/retail/infer", b"", _RAW, 400, "history"),
    ]
    with bench.serve(bench.models("retail", "reviews"), "--max-body-bytes", str(128 << 20)) as server:
        before = server.rss_bytes()
        server.forget_peak()
        seen = _all_refused(server, asked)
        grown = (server.peak_bytes() - before) / 1e6
        expect(grown < 600, f"{seen}; {grown:.0f} MB more at the peak")
        return f"{seen}; {grown:.0f} MB more at the peak"


@case(
    "1 MB of JSON whose instances are an empty list, too many, or no list",
    "400 or 413 with the field, counted once",
)
def large_bodies_that_are_wrong(bench: Bench) -> str:
    path, padding = "/v1/models/reviews:predict", "x" * 1_000_000
    asked = [
        _Ask(path, json.dumps({"instances": value, "padding": padding[:900_000]}).encode(), {}, status, field)
        for value, status, field in (
            ([], 400, "instances"),
            (["a"] * 2000, 413, "instances"),
            ([5], 400, "instances[0]"),
        )
    ]
    asked.append(_Ask(path, json.dumps({"instances": ["a", padding * 2]}).encode(), {}, 413, "instances[1]"))
    asked.append(_Ask(path, b'{"instances": ["a", "%b\xff"]}' % (b"y" * 400_000), {}, 400, "instances"))
    with bench.serve(bench.models("reviews")) as server:
        return _all_refused(server, asked)


def _infer(shape: bytes, parameters: bytes, more: bytes, field: str) -> _Ask:
    body = b'{"inputs":[{"name":"history","shape":%b,"datatype":"INT64","data":[1]}],"parameters":%b%b}'
    return _Ask("/v2/models/retail/infer", body % (shape, parameters, more), {}, 400, field)


def _all_refused(server: Server, asked: Sequence[_Ask]) -> str:
    """That each is refused as it has to be, and that as many are counted."""
    before, wrong = server.metric(_INVALID), list[str]()
    for ask in asked:
        answer = server.post(ask.path, ask.body, headers=ask.headers)
        message = answer.error if answer.status >= 400 else answer.body[:60].decode("latin-1")
        if answer.status != ask.status or not message.startswith(ask.field):
            wrong.append(f"{ask.body[:90]!r}: {answer.status} {message[:60]}")
    counted = server.metric(_INVALID) - before
    expect(not wrong, f"{len(wrong)} of {len(asked)} otherwise, such as {wrong[0] if wrong else ''}")
    expect(counted == len(asked), f"{counted:.0f} counted of {len(asked)}")
    return f"{len(asked)} refused, {counted:.0f} counted"
