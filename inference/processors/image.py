"""Images: from the bytes of a file to uint8 pixels, the same in training, in proof and in serving."""

import base64
import binascii
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from inference.configs import ImageConfig
from inference.errors import InvalidInput, UnsupportedMediaType, counted
from inference.processors.base import StackingProcessor
from inference.processors.classification import ANSWERED, Classification, summarise_answers
from inference.processors.image_file import check_size, look_at, upright
from inference.processors.image_memory import decoding_bytes
from inference.processors.occlusion import AttributionTarget, Explanation, Variants, check_names, rounded
from inference.values import Array, Features, JsonValue, Payload, Prediction, Tensors

if TYPE_CHECKING:
    from inference.store.bundle import Bundle

FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/bmp": "BMP",
}
_DECODERS = tuple(FORMATS.values())
_HEAD_CHARACTERS = 4096  # a multiple of 4, as base64 is read
INPUT = "image"
BRIGHTNESS, CONTRAST = "brightness", "contrast"

# Pixels of a side that `summarise` reads, about: a mean over 64 × 64 of them is as good, and costs 20 µs whatever
# the image's size.
_SUMMARY_SIDE = 64
DEFAULT_GRID, MAX_GRID = 7, 16
"""Cells on a side of an explanation's grid: each cell costs a run of one row."""

# Each bundle's own max_pixels decides, and as an error of ours; Pillow's limit warns first, for the process.
Image.MAX_IMAGE_PIXELS = None
# Of all texts in a PNG, decompressed: nothing reads them but for XMP, and Pillow would keep 64 MiB of them.
PngImagePlugin.MAX_TEXT_MEMORY = 4 << 20

_RESAMPLE = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Grid(NamedTuple):
    """The cells that an image is covered by: `side` × `side` over `region`."""

    side: int
    region: tuple[float, float, float, float]
    """Left, top, right and bottom of the model's view, as shares of the upright image's width and height."""


class ImageProcessor(StackingProcessor):
    """Decode, turn upright, flatten on the background, resize; the graph does the arithmetic."""

    media_types = (*FORMATS, "application/octet-stream")
    summary_features: tuple[str, ...] = (BRIGHTNESS, CONTRAST, *ANSWERED)
    decodes_larger = True

    def __init__(self, config: ImageConfig, classification: Classification | None = None) -> None:
        self.config = config
        self.classification = classification

    @classmethod
    def from_bundle(cls, bundle: "Bundle") -> Self:
        """Read the parameters from the manifest and the labels from their file."""
        config = bundle.manifest.processor
        if not isinstance(config, ImageConfig):
            raise TypeError(f"got a {config.kind} processor, expected an image processor")
        return cls(config, Classification.from_bundle(bundle))

    def decoding_bytes(self, payload: Payload) -> int:
        """As the head of the file claims it; see `image_memory`."""
        data = payload.data
        if payload.media_type is None:
            text = data.get("b64") if isinstance(data, dict) else None
            if not isinstance(text, str):
                return 0
            # The head of most files is in the first bytes; only where it is not, all are decoded.
            for most in (_HEAD_CHARACTERS, len(text)):
                try:
                    data = binascii.a2b_base64(text[:most])
                except (binascii.Error, ValueError):
                    return 0
                found = decoding_bytes(data, _DECODERS, self.config.width, self.config.height)
                if found or most >= len(text):
                    return found
            return 0
        return decoding_bytes(data, _DECODERS, self.config.width, self.config.height)

    def decode(self, payload: Payload) -> Image.Image:
        """The image in the model's mode, upright and at its own size.

        A JSON instance is `{"b64": "…"}`. Only the pixels of the first frame are read. The size, and the number of
        parts that a decoder goes through, are checked before, so a small file cannot ask for gigabytes or hours.
        """
        data, field = self._bytes_of(payload), payload.field
        try:
            # Only these decoders are tried: Pillow has dozens, and each of them parses a stranger's bytes.
            file = look_at(data, field, self.config.max_pixels)
            image = Image.open(io.BytesIO(file.data), formats=_DECODERS)
            check_size(*image.size, field, self.config.max_pixels)
            # A JPEG may be decoded at 1/2, 1/4 or 1/8 scale while both sides stay at least twice the target's. After
            # the resize that follows, the eye cannot tell it from full scale.
            image.draft(self.config.mode, (2 * self.config.width, 2 * self.config.height))
            image.load()
            return self._to_mode(upright(image, file.exif))
        except (InvalidInput, MemoryError):  # out of memory is the machine's fault, not the image's
            raise
        except UnidentifiedImageError as error:
            raise InvalidInput(
                field, f"{counted(len(data), 'byte')} of no known format", f"an image: {_names()}"
            ) from error
        except Exception as error:  # Pillow's decoders raise what they like on broken files
            raise InvalidInput(
                field, f"{counted(len(data), 'byte')} ({error})", f"an image: {_names()}"
            ) from error

    def preprocess(self, decoded: Image.Image) -> Features:
        """uint8 pixels [1, height, width, channels]."""
        size = (self.config.width, self.config.height)
        if decoded.size != size:
            resample = _RESAMPLE[self.config.interpolation]
            if self.config.fit == "crop":
                decoded = ImageOps.fit(decoded, size, resample)
            else:
                decoded = decoded.resize(size, resample)
        pixels: Array = np.asarray(decoded, np.uint8)
        return Features({INPUT: pixels.reshape(1, *size[::-1], -1)})

    def postprocess(self, outputs: Tensors, context: Any) -> Prediction:
        """The class, as `Classification.answer` words it."""
        if self.classification is None:
            raise TypeError("this processor was built to prepare inputs and has no labels")
        return self.classification.answer(outputs)

    def summarise(self, features: Features, outputs: Tensors) -> dict[str, Array]:
        """Mean and standard deviation of the pixels, and the answer's label and confidence."""
        step = max(1, max(self.config.height, self.config.width) // _SUMMARY_SIDE)
        pixels = features.tensors[INPUT][:, ::step, ::step]
        flat = pixels.reshape(len(pixels), -1)
        return {BRIGHTNESS: flat.mean(axis=1), CONTRAST: flat.std(axis=1), **summarise_answers(outputs)}

    def variants(self, decoded: Image.Image, parameters: Mapping[str, JsonValue]) -> Variants:
        """The image with one cell of a grid at a time in its median colour; `grid` is the cells on a side.

        The median is least like any object: of an image on plain ground, it is that ground.
        """
        check_names(parameters, "grid")
        height, width = self.config.height, self.config.width
        side = _read_grid(parameters, min(MAX_GRID, height, width))
        features = self.preprocess(decoded)
        pixels = features.tensors[INPUT]
        cover = np.median(pixels, axis=(0, 1, 2)).astype(np.uint8)

        def without(part: int) -> Tensors:
            covered = pixels.copy()
            row, column = divmod(part, side)
            covered[:, _cell(row, side, height), _cell(column, side, width)] = cover
            return {INPUT: covered}

        return Variants(features, side * side, without, Grid(side, self._region(decoded)))

    def target(self, outputs: Tensors, variants: Variants) -> AttributionTarget:
        """The probability of the label that is answered."""
        return AttributionTarget("probabilities", int(outputs["probabilities"][0].argmax()))

    def attribute(
        self, outputs: Tensors, variants: Variants, target: AttributionTarget, drops: Array
    ) -> Explanation:
        """The label, and how far its probability drops with each cell: `drops`, rows from top to bottom.

        `strongest` is the drop of the largest size, so that a map can be drawn to the scale of the probability.
        """
        grid: Grid = variants.parts
        answer = self.postprocess(outputs, None)
        return {
            "label": answer["label"],
            "probability": answer["probability"],
            "shape": [grid.side, grid.side],
            "region": [round(edge, 4) for edge in grid.region],
            "drops": [rounded(row) for row in drops.reshape(grid.side, grid.side)],
            "strongest": max(rounded(drops), key=abs),
        }

    def _region(self, decoded: Image.Image) -> tuple[float, float, float, float]:
        width, height = decoded.size
        if self.config.fit == "stretch":
            return 0.0, 0.0, 1.0, 1.0
        scale = max(self.config.width / width, self.config.height / height)
        across, down = self.config.width / (width * scale), self.config.height / (height * scale)
        return (1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2

    def _bytes_of(self, payload: Payload) -> bytes:
        if payload.media_type is not None:
            if payload.media_type not in self.media_types:
                raise UnsupportedMediaType(payload.field, payload.media_type, f"one of {_names()}")
            return bytes(payload.data)
        field, value = f"{payload.field}.b64", payload.data
        if not isinstance(value, dict) or set(value) != {"b64"}:
            raise InvalidInput(payload.field, value, 'an object {"b64": "<base64 of an image>"}')
        if not isinstance(value["b64"], str):
            raise InvalidInput(field, value["b64"], "a string of base64")
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(field, value["b64"], f"base64 ({error})") from error

    def _to_mode(self, image: Image.Image) -> Image.Image:
        if image.mode in ("I;16", "I;16B", "I;16L", "I"):  # 16-bit grey: Pillow's own conversion would clip
            image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            grey = (self.config.background,) * 3
            canvas = Image.new("RGBA", image.size, (*grey, 255))
            image = Image.alpha_composite(canvas, image)
        return image if image.mode == self.config.mode else image.convert(self.config.mode)


def _read_grid(parameters: Mapping[str, JsonValue], most: int) -> int:
    side = parameters.get("grid", min(DEFAULT_GRID, most))
    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= most:
        raise InvalidInput("parameters.grid", side, f"a whole number from 1 to {most}: cells on a side")
    return side


def _cell(place: int, side: int, pixels: int) -> slice:
    """The pixels of one cell of `side` along an axis; together the cells are the axis."""
    return slice(place * pixels // side, (place + 1) * pixels // side)


def _names() -> str:
    return ", ".join(FORMATS)
