"""One JPEG from the socket to its answer: how many functions a reader has to follow, and that the document lists them.

A function is on the path when it hands the request on to another function of ours. A function that is asked something
and answers at once is read where it is called. What counts, bounds and watches stands beside the path.
"""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from PIL import Image

from serving.settings import Settings
from tests.bundles import MODELS
from tests.deploy.conftest import until
from tests.serving.http.test_fast_path import read
from tests.serving.servers import ThreadedServer

ROOT = Path(__file__).parent.parent
PACKAGES = ("inference", "serving")
BESIDE = (
    "inference/processors/image_file.py",
    "inference/processors/image_memory.py",
    "inference/store/reference.py",
    "serving/engine/context.py",
    "serving/engine/drift.py",
    "serving/engine/inflight.py",
    "serving/engine/metrics.py",
    "serving/lifecycle.py",
)
EXECUTORS = ("serving/engine/fair_pool.py",)
"""Call what they are given on a thread, as Python's own do, which are not followed either."""
BACKGROUND = ("serving/engine/background.py", "serving/server.py")
"""Runs by the clock or at idle moments, whatever is asked."""
MOST_FILES, MOST_FUNCTIONS = 8, 25

Place = tuple[str, str]
"""File and qualified name of a function."""


def place_of(frame: FrameType) -> Place | None:
    """The function of a frame; a comprehension or lambda belongs to the function that it stands in."""
    code, name = frame.f_code, frame.f_code.co_qualname
    try:
        file = Path(code.co_filename).relative_to(ROOT).as_posix()
    except ValueError:
        return None
    if not file.startswith(tuple(f"{package}/" for package in PACKAGES)) or file in EXECUTORS:
        return None
    while name.endswith(">"):
        name = name.rpartition(".<locals>.")[0]
    return file, name


class Trace:
    """Which function of ours has called which, while it is on; called from every thread."""

    def __init__(self) -> None:
        self.on = False
        self.calls: list[tuple[Place, Place]] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if not self.on or event != "call":
            return
        called = place_of(frame)
        callers = [place for outer in _outer(frame) if (place := place_of(outer))]
        if (
            called is None
            or not callers
            or any(file in (*BESIDE, *BACKGROUND) for file, _ in (called, *callers))
        ):
            return
        self.calls.append((callers[0], called))

    def path(self) -> list[Place]:
        """The functions that have handed the request on, in the order in which they first did."""
        return list(dict.fromkeys(caller for caller, called in self.calls if caller != called))


def _outer(frame: FrameType) -> Iterator[FrameType]:
    while frame.f_back is not None:
        frame = frame.f_back
        yield frame


@contextmanager
def traced(trace: Trace) -> Iterator[ThreadedServer]:
    before = threading.getprofile()
    threading.setprofile(trace)
    try:
        with ThreadedServer(Settings(port=0, models=MODELS / "photos")).running() as server:
            yield server
    finally:
        threading.setprofile(before)


def follow(*, pool: bool) -> list[Place]:
    """The path of the third JPEG of a connection; `pool`: it is big enough to be decoded on a thread."""
    trace, image = Trace(), BytesIO()
    Image.effect_noise((48, 48), 80).convert("RGB").save(image, "JPEG")
    with traced(trace) as server:
        until(lambda: server.app.registry.get("photos").rest is None, "photos to be measured", 60)
        model = server.app.registry.get("photos")
        object.__setattr__(model, "inline_bytes", 0 if pool else 1 << 20)
        model.batcher.plan = model.batcher.plan._replace(inline=False)
        model.batcher._alone = None
        head = "POST /v1/models/photos:predict HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\n"
        sent = f"{head}Content-Length: {len(image.getvalue())}\r\n\r\n".encode() + image.getvalue()
        address = server.servers[0].sockets[0].getsockname()[:2]
        with closing(socket.create_connection(address, timeout=20)) as connection:
            for on in (False, False, True):  # the first has its head parsed, the second its path remembered
                trace.on = on
                connection.sendall(sent)
                ((status, _, _),) = read(connection, 1)
                assert status == 200
            trace.on = False
    return trace.path()


def listed() -> list[Place]:
    """The functions that the document lists: `file` `function`."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.partition("### One JPEG, function by function")[2].partition("\n### ")[0]
    return re.findall(r"^\d+\. `([\w/]+\.py)` `([\w.<>]+)`", section, re.MULTILINE)


@pytest.mark.slow
def test_one_jpeg_is_followed_through_few_functions_that_the_document_lists() -> None:
    path = follow(pool=True)
    assert len(path) <= MOST_FUNCTIONS, path
    assert len({file for file, _ in path}) <= MOST_FILES, path
    assert sorted(path) == sorted(listed())


@pytest.mark.slow
def test_a_small_jpeg_goes_no_longer_way() -> None:
    assert set(follow(pool=False)) <= set(listed())
