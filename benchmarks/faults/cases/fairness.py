"""Nobody waits for somebody else's work: explanations beside predictions, deadlines while decoding, bounded images."""

import base64
import io
import json
import struct
import subprocess
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException

import numpy as np
from PIL import Image

from benchmarks.faults.bench import Bench, Response, Server
from benchmarks.faults.matrix import Unexpected, case, expect

_FASHION = "/v1/models/fashion"
_JSON = {"Content-Type": "application/json"}
_ONE_AT_A_TIME = {
    "BATON_INSTANCES": "1", "BATON_CONCURRENT_RUNS": "1", "BATON_INTRA_OP_THREADS": "1", "BATON_RUN_THREADS": "1",
    "BATON_MAX_BATCH_SIZE": "8",
}  # fmt: skip
"""Under the names of every version, of which a server takes those that it knows."""
_SLOW_S = 3.0
"""Most that a bounded image, or a neighbour's, may take on a busy machine."""


def _image(kind: str, width: int = 28, height: int = 28, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 64).save(buffer, kind, **options)
    return buffer.getvalue()


def _instances(image: bytes, count: int = 1, **parameters: object) -> bytes:
    instance = {"b64": base64.b64encode(image).decode()}
    return json.dumps({"instances": [instance] * count, "parameters": parameters}).encode()


def _asked(
    server: Server, path: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[Response, float]:
    began = time.monotonic()
    answer = server.post(path, body, headers={**_JSON, **(headers or {})}, timeout_s=60.0)
    return answer, time.monotonic() - began


@contextmanager
def _crowd(connections: int, ask: Callable[[], int]) -> Iterator[Counter[int]]:
    """So many clients that ask again and again, and the statuses that they got."""
    seen, stop = Counter[int](), threading.Event()

    def client() -> None:
        while not stop.is_set():
            with suppress(OSError, HTTPException):
                seen[ask()] += 1

    for _ in range(connections):
        threading.Thread(target=client, daemon=True).start()
    try:
        yield seen
    finally:
        stop.set()  # their last requests end with the server


@contextmanager
def _full_of_predictions(bench: Bench) -> Iterator[Server]:
    """A server whose model always has predictions waiting: 8 clients of 256 rows each, 8 rows to a run."""
    pixels = np.random.default_rng(0).integers(0, 255, (256, 28, 28, 1), np.uint8)
    tensor = {"name": "image", "shape": list(pixels.shape), "datatype": "UINT8",
              "parameters": {"binary_data_size": pixels.nbytes}}  # fmt: skip
    head = json.dumps({"inputs": [tensor]}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}

    with bench.serve(bench.models("fashion"), "--max-queue-rows", "100000", env=_ONE_AT_A_TIME) as server:

        def ask() -> int:
            return server.post("/v2/models/fashion/infer", head + pixels.tobytes(), headers=length).status

        with _crowd(8, ask) as seen:
            expect(server.wait(lambda: seen[200] > 8), f"predictions are not answered: {dict(seen)}")
            yield server


@case(
    "48 clients explain, where 256 rows may wait; 4 ask for predictions beside them",
    "no prediction is turned away",
    alone=True,
)
def a_crowd_at_explain(bench: Bench) -> str:
    explained, predicted = _instances(_image("PNG"), grid=7), _instances(_image("PNG"))
    with (
        bench.serve(bench.models("fashion")) as server,
        _crowd(
            48, lambda: server.post(f"{_FASHION}:explain", explained, headers=_JSON).status
        ) as explanations,
        _crowd(4, lambda: server.post(f"{_FASHION}:predict", predicted, headers=_JSON).status) as predictions,
    ):
        time.sleep(3.0)
        server.wait(lambda: explanations[200] > 0, 20.0)  # a busy machine explains little in three seconds
        seen = f"predictions {dict(predictions)}, explanations {dict(explanations)}"
        expect(set(predictions) == {200}, seen)
        expect(set(explanations) <= {200, 429} and explanations[200] > 0, seen)
        refused = server.metric(r'baton_rejected_total\{.*reason="explanations_full".*\}')
        told = server.metric(r'baton_rejected_total\{.*reason="queue_full".*\}')
        expect(
            refused > 0 and told == 0,
            f"{seen}; counted {refused:.0f} as explanations, {told:.0f} as predictions",
        )
        return seen


@case("one explanation of 50 rows while predictions fill the model", "answered, within 20 s")
def an_explanation_among_predictions(bench: Bench) -> str:
    with _full_of_predictions(bench) as server:
        try:
            answer, seconds = _asked(server, f"{_FASHION}:explain", _instances(_image("PNG"), grid=7))
        except TimeoutError:
            expect(False, "no answer within 60 s")
        expect(answer.status == 200 and seconds < 20, f"{answer.status} after {seconds:.1f} s")
        return f"200 after {seconds:.1f} s"


@case("an explanation with a deadline of 0.2 s while predictions fill the model", "504 soon after")
def a_deadline_of_an_explanation(bench: Bench) -> str:
    with _full_of_predictions(bench) as server:
        headers = {"X-Request-Timeout-Ms": "200"}
        answer, seconds = _asked(
            server, f"{_FASHION}:explain", _instances(_image("PNG"), 5, grid=16), headers
        )
        expect(answer.status == 504 and seconds < _SLOW_S, f"{answer.status} after {seconds:.1f} s")
        return f"504 after {seconds:.1f} s"


@case(
    "6 clients of low priority with 500 rows each, where 1,000 rows may wait; a prediction beside them",
    "200 each",
)
def a_crowd_of_low_priority(bench: Bench) -> str:
    shape, data = [500, 28, 28, 1], bytes(500 * 28 * 28)
    tensor = {
        "name": "image",
        "shape": shape,
        "datatype": "UINT8",
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"priority": 2}}).encode()
    length = {"Inference-Header-Content-Length": str(len(head))}
    with bench.serve(bench.models("fashion"), "--max-queue-rows", "1000", env=_ONE_AT_A_TIME) as server:

        def ask() -> int:
            return server.post("/v2/models/fashion/infer", head + data, headers=length).status

        with _crowd(6, ask) as low:
            expect(server.wait(lambda: low[429] > 0), f"of low priority {dict(low)}")
            seen = Counter(
                _asked(server, f"{_FASHION}:predict", _instances(_image("PNG")))[0].status for _ in range(30)
            )
        expect(set(seen) == {200}, f"predictions {dict(seen)}, of low priority {dict(low)}")
        return f"30 predictions, of low priority {dict(low)}"


@case(
    "8 images of 12 megapixels in a request with a deadline of 0.2 s", "504 before half of them are decoded"
)
def a_deadline_while_images_are_decoded(bench: Bench) -> str:
    body = _instances(_plain_png(), 8)
    with bench.serve(bench.models("photos")) as server:
        whole, all_s = _asked(server, "/v1/models/photos:predict", body)
        expect(whole.status == 200, f"without a deadline {whole.status}")
        answer, seconds = _asked(server, "/v1/models/photos:predict", body, {"X-Request-Timeout-Ms": "200"})
        seen = f"{answer.status} after {seconds:.1f} s, where all take {all_s:.1f} s"
        expect(answer.status == 504 and seconds < max(1.0, all_s / 2), seen)
        pending = 'baton_pending_rows{model="photos".*}'.replace("{", r"\{").replace("}", r"\}")
        expect(server.wait(lambda: server.metric(pending) == 0), "its place is not given back")
        return seen


@case(
    "4 clients keep the decoders busy with large images for one model; images for another",
    "they wait 3 s at most",
)
def slow_images_of_another_model(bench: Bench) -> str:
    slow, quick = _instances(_plain_png(1600, 1200), 15), _instances(_image("PNG", 400, 400))
    with (
        bench.serve(bench.models("photos", "fashion")) as server,
        _crowd(
            6, lambda: server.post("/v1/models/photos:predict", slow, headers=_JSON, timeout_s=90).status
        ) as crowd,
    ):
        time.sleep(1.5)
        took = [_asked(server, f"{_FASHION}:predict", quick) for _ in range(8)]
        statuses, longest = {answer.status for answer, _ in took}, max(seconds for _, seconds in took)
        expect(statuses == {200} and longest < _SLOW_S, f"{statuses}, {longest:.1f} s at most")
        return f"{longest:.2f} s at most, beside {dict(crowd)}"


@case(
    "SIGTERM while an explanation needs minutes and images are decoded; 2 s allowed", "status 0 within 10 s"
)
def sigterm_under_long_work(bench: Bench) -> str:
    work = (
        ("/v1/models/photos:explain", _instances(_image("PNG", 64, 64), 7, grid=16)),
        ("/v1/models/photos:predict", _instances(_plain_png(), 50)),
    )
    with bench.serve(bench.models("photos"), "--shutdown-timeout-s", "2") as server:
        for path, body in work:
            threading.Thread(target=_until_left, args=(server, path, body), daemon=True).start()
        in_flight = r"baton_in_flight\{.*\}"
        expect(server.wait(lambda: server.metric(in_flight) == len(work)), "the work is not under way")
        began = time.monotonic()
        try:
            status = server.terminate(40.0)
        except subprocess.TimeoutExpired:
            raise Unexpected("it still runs 40 s after SIGTERM") from None
        seconds = time.monotonic() - began
        expect(status == 0 and seconds < 10, f"status {status} after {seconds:.1f} s")
        return f"status 0 after {seconds:.1f} s"


def _until_left(server: Server, path: str, body: bytes) -> None:
    with suppress(OSError, HTTPException):
        server.post(path, body, headers=_JSON, timeout_s=90.0)


@case(
    "small files that ask for much: scans, chunks, texts, comments, runs, dimensions; and other formats",
    "400 or 413",
)
def images_that_ask_for_much(bench: Bench) -> str:
    with bench.serve(bench.models("fashion")) as server:
        said: list[str] = []
        for name, data in _much_asked().items():
            began = time.monotonic()
            answer = server.post(f"{_FASHION}:predict", data, headers={"Content-Type": "image/png"})
            seconds = time.monotonic() - began
            said.append(f"{name} {answer.status}")
            expect(answer.status in (400, 413), f"{name}: {answer.status} after {seconds:.1f} s")
            expect(seconds < _SLOW_S, f"{name}: after {seconds:.1f} s")
            expect("body: got" in answer.error, f"{name}: {answer.error}")
        return ", ".join(said)


@case(
    "an animated PNG, WebP and GIF, a JPEG of several images, one with twelve scans",
    "the first frame is answered",
)
def animations_and_scans_that_are_usual(bench: Bench) -> str:
    frames = [Image.effect_noise((40, 30), sigma) for sigma in (20, 40, 60)]
    with bench.serve(bench.models("fashion")) as server:
        for kind in ("PNG", "WEBP", "GIF", "MPO"):
            buffer = io.BytesIO()
            frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
            answer = server.post(
                f"{_FASHION}:predict", buffer.getvalue(), headers={"Content-Type": "image/png"}
            )
            expect(answer.status == 200, f"{kind}: {answer.status} {answer.body[:200]!r}")
        answer = server.post(
            f"{_FASHION}:predict",
            _image("JPEG", 640, 480, progressive=True),
            headers={"Content-Type": "image/jpeg"},
        )
        expect(answer.status == 200, f"progressive: {answer.status}")
        return "200 each"


def _plain_png(width: int = 4000, height: int = 3000) -> bytes:
    """Megapixels in few bytes: its rows are all alike, so that it is quick to send, and slow to decode."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


def _much_asked() -> dict[str, bytes]:
    """Small and harmless: each is just over a bound."""
    jpeg, png, gif = (_image(kind, 16, 16, **options) for kind, options in
                      (("JPEG", {"progressive": True}), ("PNG", {}), ("GIF", {})))  # fmt: skip
    last_scan = jpeg.rindex(b"\xff\xda")
    bmp = bytearray(_image("BMP", 16, 16) + bytes(1 << 20))
    bmp[30] = 1
    frame = gif.index(b",", 13)
    text = zlib.compress(bytes(2 << 20))
    tiff, ico = _image("TIFF", 16, 16), _image("ICO", 16, 16)
    return {
        "a JPEG of 150 scans": jpeg[:-2] + jpeg[last_scan:-2] * 150 + jpeg[-2:],
        "a JPEG of 2,000 comments": jpeg[:2] + b"\xff\xfe\x00\x02" * 2000 + jpeg[2:],
        "a PNG of 12,000 chunks": png[:33] + _chunk(b"prIv", b"") * 12_000 + png[33:],
        "a PNG with a text of 2 MiB": png[:33] + _chunk(b"zTXt", b"a\0\0" + text) + png[33:],
        "a GIF with 1.3 MiB of comments": gif[:frame]
        + (b"!\xfe\xff" + bytes(255) + b"\0") * 5200
        + gif[frame:],
        "a BMP with runs": bytes(bmp),
        "a PNG of 100,000 × 100,000": png[:8]
        + _chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 1, 0, 0, 0, 1)),
        "a GIF of 65,535 × 65,535": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "a WebP of 16,384 × 16,384": _wide_webp(),
        "half a PNG": png[: len(png) // 2],
        "a TIFF": tiff,
        "an ICO": ico,
    }


def _wide_webp() -> bytes:
    size = (16_383).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size + size
    still = _image("WEBP", 16, 16)[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(extended) + len(still)) + b"WEBP" + extended + still


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
