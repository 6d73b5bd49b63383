"""Images of every size, mode and format become the same pixels, or a clear refusal."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.configs import ImageConfig
from inference.errors import InputTooLarge, InvalidInput, UnsupportedMediaType
from inference.processors.image import ImageProcessor
from inference.values import Array, Payload


def _processor(**changes: Any) -> ImageProcessor:
    settings = {
        "kind": "image", "height": 8, "width": 6, "mode": "RGB", "fit": "stretch",
        "interpolation": "bilinear", "background": 255, "max_pixels": 10_000,
    }  # fmt: skip
    return ImageProcessor(ImageConfig.model_validate(settings | changes))


def _encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _pixels(processor: ImageProcessor, data: bytes, media_type: str = "image/png") -> Array:
    return processor.preprocess(processor.decode(Payload(data, media_type))).tensors["image"]


def test_pixels_are_uint8_rows_columns_channels() -> None:
    pixels = _pixels(_processor(), _encoded(Image.new("RGB", (6, 8), (10, 20, 30))))
    assert pixels.shape == (1, 8, 6, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0, 0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr"])
def test_every_mode_is_taken(mode: str) -> None:
    grey = Image.new("L", (12, 16), 255).convert("RGB")
    white = Image.new("I;16", (12, 16), 65535) if mode == "I;16" else grey.convert(mode)
    kind, media_type = ("JPEG", "image/jpeg") if mode in ("CMYK", "YCbCr") else ("PNG", "image/png")
    assert _pixels(_processor(), _encoded(white, kind), media_type).min() >= 250


@pytest.mark.parametrize(("kind", "media_type"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"),
                                                   ("GIF", "image/gif"), ("BMP", "image/bmp")])  # fmt: skip
def test_every_format_is_taken(kind: str, media_type: str) -> None:
    data = _encoded(Image.new("RGB", (40, 30), (200, 200, 200)), kind)
    assert abs(int(_pixels(_processor(), data, media_type).mean()) - 200) <= 2


def test_the_content_decides_and_not_the_name_of_the_type() -> None:
    data = _encoded(Image.new("RGB", (6, 8), (1, 2, 3)))
    assert _pixels(_processor(), data, "application/octet-stream")[0, 0, 0].tolist() == [1, 2, 3]


def test_transparent_pixels_show_the_background() -> None:
    clear = Image.new("RGBA", (6, 8), (0, 0, 0, 0))
    assert _pixels(_processor(background=255), _encoded(clear)).min() == 255
    assert _pixels(_processor(background=0), _encoded(clear)).max() == 0


def test_a_photograph_that_lies_on_its_side_is_turned_upright() -> None:
    image = Image.new("RGB", (8, 6), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 4, 6))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90° clockwise to see it upright
    upright = _pixels(_processor(), _encoded(image, "PNG", exif=exif))
    assert upright[0, 0].mean() > 200
    assert upright[0, -1].mean() < 50


def test_crop_keeps_the_middle_and_stretch_keeps_all() -> None:
    wide = Image.new("L", (60, 8), 0)
    wide.paste(255, (27, 0, 33, 8))
    assert _pixels(_processor(fit="crop", mode="L"), _encoded(wide)).mean() > 200
    assert _pixels(_processor(fit="stretch", mode="L"), _encoded(wide)).mean() < 100


def test_a_json_instance_carries_base64() -> None:
    data = _encoded(Image.new("RGB", (6, 8), (9, 9, 9)))
    instance = {"b64": base64.b64encode(data).decode()}
    processor = _processor()
    assert (
        processor.preprocess(processor.decode(Payload(instance, field="instances[0]"))).tensors["image"].max()
        == 9
    )


@pytest.mark.parametrize(
    ("payload", "kind", "words"),
    [
        (Payload(b"not an image", "image/png"), InvalidInput, "body: got 12 bytes"),
        (Payload(b"", "image/png"), InvalidInput, "body: got 0 bytes"),
        (Payload(b"x", "text/html"), UnsupportedMediaType, "body: got text/html, expected one of image/png"),
        (Payload("text", field="instances[2]"), InvalidInput, "instances[2]: got text, expected an object"),
        (Payload({"b64": 5}, field="instances[2]"), InvalidInput, "instances[2].b64: got 5"),
        (
            Payload({"b64": "%%%"}, field="instances[2]"),
            InvalidInput,
            "instances[2].b64: got %%%, expected base64",
        ),
        (Payload({"b64": "", "x": 1}, field="instances[2]"), InvalidInput, "instances[2]"),
        (Payload(_encoded(Image.new("L", (101, 100))), "image/png"), InputTooLarge, "an image of 101×100"),
        (
            Payload(_encoded(Image.new("L", (50, 50), 7))[:60], "image/png"),
            InvalidInput,
            "body: got 60 bytes",
        ),
    ],
)
def test_bad_input_is_refused_by_field(payload: Payload, kind: type[InvalidInput], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        _processor().decode(payload)
    assert type(refused.value) is kind
    assert words in str(refused.value)


@pytest.mark.slow
def test_a_big_image_is_refused_before_its_pixels_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    data = _encoded(Image.new("1", (20_000, 20_000)))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("pixels were decoded"))
    with pytest.raises(InputTooLarge):
        _processor().decode(Payload(data, "image/png"))
