"""An image's file before Pillow reads it: bounds of the work that it may cause, and how the image is to be turned.

Pillow bounds what it allocates for pixels. It does not bound how often a decoder goes over them (the scans of a
JPEG), how many parts it walks through in Python (segments, chunks, blocks), or what the entries of EXIF claim. Each of
those is counted here, at the price of a look at each part's header, and refused by name.
"""

import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from PIL import Image

from inference.errors import InputTooLarge, InvalidInput, counted

MAX_SCANS = 100
"""Of a JPEG: encoders make about ten, and those that search for the best split a few dozen."""
SCANS_OF_THE_LARGEST = 16
"""Scans that an image of as many pixels as a bundle takes may have; a smaller one may have more of them."""
MAX_SEGMENTS = 1_000
"""Of a JPEG before its first scan."""
MAX_CHUNKS, BYTES_A_CHUNK = 10_000, 1024
"""Of a PNG: so many, and one more for each so many bytes of the file. Encoders write 4 KiB or more to a chunk."""
MAX_BLOCK_BYTES = 1 << 20
"""Of a GIF before its first frame, and of a BMP with runs, which Pillow decodes in Python."""
MAX_JUNK_BYTES = 1 << 16
"""Between two parts of a file, where a reader skips byte by byte."""

ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_WHOLE = {1: "B", 3: "H", 4: "I"}
"""EXIF's types of whole numbers."""

_EOI, _APP1, _APP2, _TEM = 0xD9, 0xE1, 0xE2, 0x01
_RESTARTS = range(0xD0, 0xD8)
SOS = 0xDA
"""The marker of a JPEG's scan."""

PROGRESSIVE = 2
"""In the last two bits of the marker of a JPEG's frame."""

FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The markers of a JPEG's frames, which have its size."""

_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_XMP_ORIENTATION = r'tiff:Orientation(?:="|>)([0-9])'


class ImageFile(NamedTuple):
    """A file that may be decoded: its bytes, without parts that Pillow should not parse, and its EXIF (or b"")."""

    data: bytes
    exif: bytes = b""


def look_at(data: bytes, field: str, max_pixels: int) -> ImageFile:
    """The file, if the work that it asks for is bounded.

    Raises `InputTooLarge` for more pixels than `max_pixels`, and `InvalidInput` for another bound. A file of no known
    format is passed on: Pillow words that.
    """
    for signature, look in _LOOKS.items():
        if data.startswith(signature):
            return look(data, field, max_pixels)
    return ImageFile(data)


def check_size(width: int, height: int, field: str, max_pixels: int) -> None:
    """`InputTooLarge` over the bundle's bound."""
    if width * height > max_pixels:
        raise InputTooLarge(field, f"an image of {width}×{height}", f"at most {max_pixels} pixels")


def upright(image: Image.Image, exif: bytes) -> Image.Image:
    """The image as its camera was held, by EXIF or, where that is silent, by XMP; itself where it is upright."""
    info = image.info
    turn = orientation_of(exif or info.get("exif", b"") or _raw_profile(info))
    if turn is None:
        xmp = info.get("XML:com.adobe.xmp") or info.get("xmp") or ""
        text = xmp if isinstance(xmp, str) else xmp.decode("latin-1")
        found = re.search(_XMP_ORIENTATION, text)
        turn = int(found[1]) if found else None
    method = None if turn is None else _TURNS.get(turn)
    return image if method is None else image.transpose(method)


def orientation_of(exif: bytes) -> int | None:
    """The one entry of EXIF that is read here; None where there is none, or what is there is no EXIF.

    Pillow's reader copies the value of every entry, each of which may claim to be the whole of it.
    """
    exif = exif.removeprefix(b"Exif\x00\x00")
    order = _BYTE_ORDERS.get(exif[:2])
    if order is None:
        return None
    with suppress(struct.error):
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, at)
        for place in range(at + 2, at + 2 + 12 * entries, 12):
            tag, kind, count = struct.unpack_from(f"{order}HHI", exif, place)
            if tag == ORIENTATION and count == 1 and kind in _WHOLE:
                return int(struct.unpack_from(f"{order}{_WHOLE[kind]}", exif, place + 8)[0])
    return None


def _raw_profile(info: dict[str | tuple[int, int], object]) -> bytes:
    """EXIF as ImageMagick writes it into the text of a PNG: three lines, then hexadecimal digits."""
    text = info.get("Raw profile type exif")
    if isinstance(text, str):
        with suppress(ValueError):
            return bytes.fromhex("".join(text.split("\n")[3:]))
    return b""


def _jpeg(data: bytes, field: str, max_pixels: int) -> ImageFile:
    """Segments up to the first scan, without EXIF and the index of more images; then the number of scans."""
    kept, exif = [], b""
    at = begin = 2
    pixels = segments = junk = 0
    components = b""  # how many, as a sequential file says it
    while at + 4 <= len(data):
        if data[at] != 0xFF or data[at + 1] in (0x00, 0xFF):
            junk += 1
            _check(junk, MAX_JUNK_BYTES, "byte", "between the segments of a JPEG", field)
            at += 1
            continue
        marker = data[at + 1]
        if marker == _TEM or marker in _RESTARTS or marker == 0xD8:
            at += 2
            junk += 2
            _check(junk, MAX_JUNK_BYTES, "byte", "between the segments of a JPEG", field)
            continue
        if marker in (SOS, _EOI):
            break
        segments += 1
        _check(segments, MAX_SEGMENTS, "segment", "before the first scan of a JPEG", field)
        content, end = at + 4, at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker in FRAMES and min(end, len(data)) - content >= 5:
            height, width = struct.unpack_from(">HH", data, content + 1)
            check_size(width, height, field, max_pixels)
            pixels = width * height
            components = b"" if marker & 3 == PROGRESSIVE else data[content + 5 : content + 6]
        is_exif = marker == _APP1 and data.startswith(b"Exif\x00\x00", content)
        if is_exif or (marker == _APP2 and data.startswith(b"MPF\x00", content)):
            exif = exif or (data[content:end] if is_exif else b"")
            kept.append(data[begin:at])
            begin = end
        at = max(end, at + 2)
    # A sequential file whose first scan has all components has no other: libjpeg ends with it. To look for more would
    # take a tenth of the time of decoding.
    one = components and data[at + 1 : at + 2] == bytes([SOS]) and data[at + 4 : at + 5] == components
    scans = MAX_SCANS if not pixels else min(MAX_SCANS, SCANS_OF_THE_LARGEST * max_pixels // pixels)
    # No scan is without these two bytes, and few files have them elsewhere.
    if not one and data.count(b"\xff\xda", at) > scans:
        _check(_scans(data, at, scans), scans, "scan", f"in a JPEG of {counted(pixels, 'pixel')}", field)
    if kept:
        data = b"".join((data[:2], *kept, data[begin:]))
    return ImageFile(data, exif)


def _scans(data: bytes, at: int, enough: int) -> int:
    """The scans of a JPEG from `at` to its end, or one more than `enough`."""
    scans = 0
    while scans <= enough and (found := _NEXT_MARKER.search(data, at)) and found[1][0] != _EOI:
        scans += found[1][0] == SOS
        at = found.end() + max(2, int.from_bytes(data[found.end() : found.end() + 2]))
    return scans


def _png(data: bytes, field: str, max_pixels: int) -> ImageFile:
    """The number of chunks; Pillow bounds the texts in them."""
    if len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        check_size(width, height, field, max_pixels)
    most = MAX_CHUNKS + len(data) // BYTES_A_CHUNK
    at, chunks = 8, 0
    while at + 8 <= len(data):
        chunks += 1
        _check(chunks, most, "chunk", f"in a PNG of {counted(len(data), 'byte')}", field)
        at += 12 + int.from_bytes(data[at : at + 4])
    return ImageFile(data)


def _gif(data: bytes, field: str, max_pixels: int) -> ImageFile:
    """The size, and the bytes before the first frame, which Pillow walks through."""
    if len(data) >= 13:
        width, height = struct.unpack_from("<HH", data, 6)
        check_size(width, height, field, max_pixels)
        flags = data[10]
        begin = at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
        while at < len(data) and data[at] not in b",;":
            if data[at] == ord("!"):
                at += 2
                while at < len(data) and data[at]:
                    at += 1 + data[at]
                    _check(at - begin, MAX_BLOCK_BYTES, "byte", "before the first frame of a GIF", field)
            at += 1
            _check(at - begin, MAX_BLOCK_BYTES, "byte", "before the first frame of a GIF", field)
    return ImageFile(data)


def _webp(data: bytes, field: str, max_pixels: int) -> ImageFile:
    """The canvas of an extended file, of which libwebp allocates two before it says how large it is."""
    if data[8:16] == b"WEBPVP8X" and len(data) >= 30:
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        check_size(width, height, field, max_pixels)
    return ImageFile(data)


def _bmp(data: bytes, field: str, max_pixels: int) -> ImageFile:
    """The bytes of one with runs."""
    if len(data) >= 34 and int.from_bytes(data[30:34], "little") in (1, 2):
        _check(len(data), MAX_BLOCK_BYTES, "byte", "in a BMP with runs", field)
    return ImageFile(data)


def _check(count: int, most: int, noun: str, where: str, field: str) -> None:
    if count > most:
        raise InvalidInput(field, f"{counted(count, noun)} or more {where}", f"at most {most}")


_LOOKS: dict[bytes, Callable[[bytes, str, int], ImageFile]] = {
    b"\xff\xd8": _jpeg,
    b"\x89PNG\r\n\x1a\n": _png,
    b"GIF8": _gif,
    b"RIFF": _webp,
    b"BM": _bmp,
}
"""How the file of each format is looked at, by its first bytes."""
