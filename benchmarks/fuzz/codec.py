"""Bodies into the server and its answers out: each is a result or a refusal, and right ones come back as they went in.

The models give their inputs back, so an answer is compared with the arrays of its request, read by NumPy and `json`.
"""

import asyncio
import json
import shutil
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.fuzz.bodies import DTYPES, Body, Sent, make_body
from benchmarks.fuzz.watch import Report, Watch
from benchmarks.fuzz.world import MODELS, World, opened, write_typed_models
from serving.codec.binary import JSON_LENGTH
from serving.engine.context import RequestContext
from serving.engine.inflight import Hold
from serving.http.answer import Answer
from serving.http.matching import Route, Verb

_SHIPPED = ("fashion", "retail", "reviews")
_DECLARED = (501, 504)
"""Statuses over 499 that a body may come to: what is understood and not offered, and its own deadline."""
_MAX_BODY_BYTES = 100_000


class _Client:
    """Takes the answer."""

    address = ""

    disconnected = False

    def __init__(self, hold: Hold) -> None:
        self.hold: Hold | None = hold
        self.answers: list[Answer] = []

    def send(self, answer: Answer) -> None:
        self.answers.append(answer)
        if self.hold is not None:
            self.hold.release()


@asynccontextmanager
async def models(folder: Path) -> AsyncIterator[World]:
    """A server for bodies: models that give back what they are given, and those that are shipped."""
    write_typed_models(folder)
    for name in _SHIPPED:
        shutil.copytree(MODELS / name, folder / name)
    async with opened(folder, max_body_bytes=_MAX_BODY_BYTES) as world:
        yield world


async def ask(world: World, body: Body) -> list[Answer]:
    """The answers to a body, of which there should be one."""
    verb: Verb = body.verb  # type: ignore[assignment]
    client = _Client(world.app.inflight.hold(len(body.content), "body"))
    route = Route(verb, body.model, None)
    world.app.fast_path.respond(route, body.headers, body.content, client, RequestContext())
    await world.settle()
    return client.answers


async def fault(world: World, body: Body, count: Callable[[str], None] = lambda _: None) -> str:
    """What an answer to a body did that none may; "" for nothing. `count` is told of each answer."""
    try:
        answers = await ask(world, body)
    except Exception as error:
        return f"raised {error!r}"
    for answer in answers:
        count(f"{body.verb} {answer.status}")
    if world.faults.seen:
        return f"logged {world.faults.take()}"
    if len(answers) != 1 or (left := world.under_way()):
        return f"{len(answers)} answers, and left {left}"
    (answer,) = answers
    headers = dict(answer.headers)
    if headers.get(b"content-length") != b"%d" % len(answer.body):
        return f"Content-Length {headers.get(b'content-length')!r} of {len(answer.body)} bytes"
    if answer.status != 200:
        return _fault_of_refusal(body, answer)
    if body.expected is None:
        return ""
    content = answer.body
    if encoding := headers.get(b"content-encoding"):
        content = zlib.decompress(content, 31 if encoding == b"gzip" else 15)
    try:
        return not_alike(body.expected, content, headers.get(JSON_LENGTH))
    except (ValueError, KeyError) as error:
        return f"answered what cannot be read: {error!r}"


def _fault_of_refusal(body: Body, answer: Answer) -> str:
    if answer.status >= 500 and answer.status not in _DECLARED:
        return f"answered {answer.status}: {answer.body!r}"
    if body.right:
        return f"refused a right body: {answer.status} {answer.body!r}"
    told = json.loads(answer.body)
    return "" if isinstance(told.get("error"), str) and told["error"] else f"no error in {answer.body!r}"


def not_alike(expected: Mapping[str, Sent], content: bytes, json_length: bytes | None) -> str:
    """How the outputs of an answer differ from the arrays that were sent; "" where they are the same, bit for bit."""
    head = json.loads(content if json_length is None else content[: int(json_length)])
    rest = b"" if json_length is None else content[int(json_length) :]
    if missing := expected.keys() - {output["name"] for output in head["outputs"]}:
        return f"{', '.join(sorted(missing))} is missing"
    for output in head["outputs"]:
        sent = expected[output["name"]]
        size = output.get("parameters", {}).get("binary_data_size")
        blob, rest = (None, rest) if size is None else (rest[:size], rest[size:])
        found: Any = output["data"] if blob is None else _from_bytes(output["datatype"], blob)
        if isinstance(sent, list):
            if blob is None:
                sent = [each.decode("utf-8", "replace").encode() for each in sent]
                found = [each.encode() for each in found]
            same = found == sent
        else:
            got = np.array(found, sent.dtype)
            kinds = sent.dtype.kind == "f"
            same = np.array_equal(got, sent, equal_nan=kinds)
        if not same:
            return f"{output['name']}: got {found!r}, expected {sent!r}"
    return f"{len(rest)} bytes are left over" if rest else ""


def _from_bytes(datatype: str, blob: bytes) -> Any:
    if datatype == "BF16":
        return (np.frombuffer(blob, "<u2").astype(np.uint32) << 16).view(np.float32)
    if datatype != "BYTES":
        return np.frombuffer(blob, DTYPES[datatype])
    found: list[bytes] = []
    while blob:
        (size,) = struct.unpack_from("<I", blob)
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    return found


async def search(world: World, seed: int, begin: int, end: int, watch: Watch) -> None:
    """Ask with the bodies from number `begin` to `end`; `watch` is told of each, and of the faults."""
    for number in range(begin, end):
        body = make_body(Random(f"{seed} {number}"))
        said = await fault(world, body, watch.count)
        watch.done(number)
        if said:
            watch.fault(number, f"{said}, for {body}")
            world.faults.take()


def share(seed: int, begin: int, end: int) -> Report:
    """What a process found in the bodies from number `begin` to `end`."""

    async def run() -> Report:
        with TemporaryDirectory(prefix="fuzz-") as folder:
            async with models(Path(folder)) as world:
                watch = Watch(begin, end)
                await search(world, seed, begin, end, watch)
                return watch.report()

    return asyncio.run(run())


def repeat(seed: int, number: int) -> bool:
    """Ask with one body again, and print it with its fault; whether it has one."""

    async def run() -> bool:
        with TemporaryDirectory(prefix="fuzz-") as folder:
            async with models(Path(folder)) as world:
                body = make_body(Random(f"{seed} {number}"))
                said = await fault(world, body)
                print(f"{said or 'no fault'}, for {body}")
                return bool(said)

    return asyncio.run(run())
