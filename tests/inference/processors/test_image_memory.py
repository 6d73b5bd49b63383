"""The memory that decoding takes is known from the head of a file, before: at least as much as Pillow really takes."""

import base64
import io
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.configs import ImageConfig
from inference.processors.image import FORMATS, ImageProcessor
from inference.processors.image_memory import decoding_bytes
from inference.values import Payload

SIDE = 400
PIXELS = SIDE * SIDE
DECODERS = tuple(FORMATS.values())


def encoded(form: str, mode: str = "RGB", side: int = SIDE, **options: Any) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (side // 8, side // 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((side, side)).convert(mode).save(file, form, **options)
    return file.getvalue()


def processor(side: int) -> ImageProcessor:
    return ImageProcessor(
        ImageConfig.model_validate(
            {
                "kind": "image", "height": side, "width": side, "mode": "RGB", "fit": "stretch",
                "interpolation": "bilinear", "background": 255, "max_pixels": 10_000_000,
            }
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("form", "mode", "options", "bytes_a_pixel"),
    [
        ("PNG", "RGB", {}, 8),
        ("PNG", "L", {}, 8),
        ("PNG", "RGB", {"transparency": (0, 0, 0)}, 20),
        ("PNG", "RGBA", {}, 20),
        ("PNG", "P", {}, 20),
        ("JPEG", "RGB", {}, 8),
        ("JPEG", "RGB", {"progressive": True}, 14),
        ("GIF", "P", {}, 20),
        ("WEBP", "RGB", {}, 20),
        ("BMP", "RGB", {}, 20),
    ],
)
def test_each_format_is_known_by_its_head(
    form: str, mode: str, options: dict[str, Any], bytes_a_pixel: int
) -> None:
    data = encoded(form, mode, **options)
    assert decoding_bytes(data, DECODERS, SIDE, SIDE) == PIXELS * bytes_a_pixel
    text = base64.b64encode(data).decode()
    in_json = Payload({"b64": text}, None, field="instances[0]")
    assert processor(SIDE).decoding_bytes(in_json) == PIXELS * bytes_a_pixel


def test_a_jpeg_is_decoded_at_a_scale_but_keeps_the_coefficients_of_a_progressive_one() -> None:
    assert decoding_bytes(encoded("JPEG"), DECODERS, 50, 50) == (SIDE // 4) ** 2 * 8
    assert decoding_bytes(encoded("JPEG", progressive=True), DECODERS, 50, 50) == (
        (SIDE // 4) ** 2 * 8 + PIXELS * 6
    )


def test_a_head_behind_more_than_the_first_bytes_is_found_too() -> None:
    exif = Image.Exif()
    exif[0x010E] = "x" * 20_000
    data = encoded("JPEG", exif=exif)
    text = base64.b64encode(data).decode()
    assert processor(SIDE).decoding_bytes(Payload({"b64": text}, None)) == PIXELS * 8


@pytest.mark.parametrize(
    "data", [b"", b"no image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\xff\xd8" + b"\xff\xc0\x00\x02" * 9]
)
def test_what_is_no_image_needs_nothing_and_is_refused_by_decoding(data: bytes) -> None:
    assert decoding_bytes(data, DECODERS, SIDE, SIDE) == 0


@pytest.mark.parametrize("instance", [5, {}, {"b64": 5}, {"b64": "ä"}, {"b64": "x"}])
def test_an_instance_that_is_none_needs_nothing(instance: Any) -> None:
    assert processor(SIDE).decoding_bytes(Payload(instance, None)) == 0


_MEASURE = """
import ctypes, sys
from inference.values import Payload
from tests.inference.processors.test_image_memory import encoded, processor
form, mode, progressive = sys.argv[1:]
made = processor(1500)
payload = Payload(encoded(form, mode, 1500, **({"progressive": True} if progressive == "True" else {})), "image/png")
made.decode(Payload(encoded(form, mode, 8), "image/png"))  # what a first image brings with it
def read(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) * 1024
ctypes.CDLL(None).malloc_trim(0)
open("/proc/self/clear_refs", "w").write("5")
before = read("VmRSS:")
made.decode(payload)
print(read("VmHWM:") - before, made.decoding_bytes(payload))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is Linux's")
@pytest.mark.parametrize(
    ("form", "mode", "progressive"),
    [("PNG", "RGBA", False), ("PNG", "RGB", False), ("JPEG", "RGB", False), ("JPEG", "RGB", True)],
)
def test_decoding_really_takes_no_more(form: str, mode: str, progressive: bool) -> None:
    command = [sys.executable, "-c", _MEASURE, form, mode, str(progressive)]
    took, told = map(int, subprocess.check_output(command, timeout=60).split())
    assert took <= told + (4 << 20)
    assert took > told / 4, "or requests are refused that would fit"
