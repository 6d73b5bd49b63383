"""The memory that decoding an image takes, from the first bytes of its file: what it claims is what is allocated.

Nothing is decoded here. A PNG or a JPEG is looked at in one to three microseconds, which requests of small images
feel. Other formats, and files that are put together unlike most, are left to Pillow's own reading of their heads.
"""

import io
import struct

from PIL import Image

from inference.processors.image_file import FRAMES, PROGRESSIVE, SOS

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_OPAQUE = (0, 2)  # PNG's colour types without alpha, unless a tRNS chunk names a colour
# Pillow keeps a pixel in four bytes, whatever its colours.
_COPIES, _COPIES_WITH_ALPHA = 2, 5
"""Images that are there at once, at most: as decoded, and turned upright or in the model's mode; for one with alpha
also the canvas, and what is drawn on it."""
_PIXEL_BYTES = 4
_COEFFICIENT_BYTES = 6
"""A pixel's, of three colours: of a progressive JPEG all are kept at full scale, whatever it is decoded at."""
_DRAFT_SCALES = (8, 4, 2)


def decoding_bytes(data: bytes, formats: tuple[str, ...], width: int, height: int) -> int:
    """Bytes that decoding takes beside the file's own, for a target of `width` × `height`; 0 for no image.

    A JPEG is decoded at a smaller scale where both sides stay at least twice the target's.
    """
    if data.startswith(_PNG) and len(data) > 25:
        across, down = struct.unpack_from(">II", data, 16)
        opaque = data[25] in _OPAQUE and data.find(b"tRNS", 0, data.find(b"IDAT")) < 0
        return int(across * down) * _PIXEL_BYTES * (_COPIES if opaque else _COPIES_WITH_ALPHA)
    frame = _jpeg_frame(data) if data.startswith(_JPEG) else None
    if frame is None:
        try:
            with Image.open(io.BytesIO(data), formats=formats) as image:
                (across, down), is_jpeg = image.size, image.format == "JPEG"
        except Exception:  # decoding will say what is wrong
            return 0
        if not is_jpeg:
            return across * down * _PIXEL_BYTES * _COPIES_WITH_ALPHA
        frame = across, down, True
    across, down, progressive = frame
    scale = next(
        (each for each in _DRAFT_SCALES if across >= 2 * width * each and down >= 2 * height * each), 1
    )
    pixels = -(-across // scale) * -(-down // scale)
    return pixels * _PIXEL_BYTES * _COPIES + (across * down * _COEFFICIENT_BYTES if progressive else 0)


def _jpeg_frame(data: bytes) -> tuple[int, int, bool] | None:
    """Width, height and whether any is progressive, of the frames before the first scan.

    None where something else stands between the segments.
    """
    at, end = 2, len(data) - 9
    across = down = 0
    progressive = False
    while at < end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == SOS:
            return (across, down, progressive) if across and down else None
        if marker in FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            across, down = max(across, width), max(down, height)
            progressive = progressive or marker & 3 == PROGRESSIVE
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return None
