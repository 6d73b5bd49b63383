"""Files of images, looked at before they are decoded: bounds of their parts, and which way is up."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from inference.errors import InputTooLarge, InvalidInput
from inference.processors import image_file
from inference.processors.image_file import look_at, orientation_of, upright
from inference.values import Array

MANY = 1_000_000


def drawn(width: int = 24, height: int = 16) -> Image.Image:
    """Every corner is different, so that no turn can be taken for another."""
    rows, columns = np.mgrid[:height, :width]
    return Image.fromarray(
        np.stack([rows * 9 % 256, columns * 7 % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    )


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (image or drawn()).save(buffer, kind, **options)
    return buffer.getvalue()


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "a camera with a long name"
    exif[0x0112] = orientation
    return exif


def decoded(data: bytes) -> Array:
    file = look_at(data, "body", MANY)
    image = Image.open(io.BytesIO(file.data))
    image.load()
    return np.asarray(upright(image, file.exif))


def by_pillow(data: bytes) -> Array:
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# Which way is up


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_every_orientation_is_turned_as_pillow_turns_it(kind: str, orientation: int) -> None:
    data = encoded(kind, exif=exif_of(orientation))
    np.testing.assert_array_equal(decoded(data), by_pillow(data))


def test_xmp_tells_where_exif_is_silent() -> None:
    told = b'<x xmlns:tiff="t" tiff:Orientation="6"/>'
    for data in (encoded("JPEG", xmp=told), encoded("WEBP", xmp=told)):
        assert decoded(data).shape == (24, 16, 3)
        np.testing.assert_array_equal(decoded(data), by_pillow(data))
    plain = encoded("PNG")
    text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + told)
    png = plain[:33] + text + plain[33:]
    np.testing.assert_array_equal(decoded(png), by_pillow(png))
    assert decoded(png).shape == (24, 16, 3)


def test_exif_in_the_text_of_a_png_tells_too() -> None:
    raw = exif_of(3).tobytes().hex()
    plain = encoded("PNG")
    png = plain[:33] + chunk(b"tEXt", f"Raw profile type exif\0\nexif\n 1\n{raw}".encode()) + plain[33:]
    np.testing.assert_array_equal(decoded(png), by_pillow(png))
    assert (decoded(png) != np.asarray(drawn())).any()


@pytest.mark.parametrize(("order", "mark"), [("<", b"II"), (">", b"MM")])
def test_one_entry_is_read_in_either_byte_order_whatever_the_others_claim(order: str, mark: bytes) -> None:
    entries = [(0x010E, 2, 1 << 31, 8), (0x0112, 3, 1, 6 << 16 if order == ">" else 6)]
    exif = mark + struct.pack(f"{order}HIH", 42, 8, len(entries))
    exif += b"".join(struct.pack(f"{order}HHII", *entry) for entry in entries)
    assert orientation_of(exif) == orientation_of(b"Exif\0\0" + exif) == 6


@pytest.mark.parametrize(
    "exif", [b"", b"II", b"no EXIF at all", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"]
)
def test_broken_exif_tells_nothing(exif: bytes) -> None:
    assert orientation_of(exif) is None


def test_of_several_images_in_a_jpeg_the_first_is_read() -> None:
    data = encoded("MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    file = look_at(data, "body", MANY)
    assert len(file.data) < len(data)
    assert Image.open(io.BytesIO(file.data)).format == "JPEG"
    np.testing.assert_array_equal(decoded(data), by_pillow(data))


# Bounds


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_a_file_as_encoders_write_it_is_passed_on_as_it_is(kind: str) -> None:
    data = encoded(kind)
    assert look_at(data, "body", MANY) == (data, b"")


def test_a_file_of_no_known_format_is_left_to_pillow() -> None:
    for data in (
        b"",
        b"no image",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF",
        b"BM",
        b"\xff\xd8\xff",
    ):
        assert look_at(data, "body", MANY).data == data


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_pixels_are_bounded_by_the_head_of_the_file(kind: str) -> None:
    look_at(encoded(kind), "body", 24 * 16)
    with pytest.raises(InputTooLarge, match="body: got an image of 24×16, expected at most 383 pixels"):
        look_at(encoded(kind), "body", 24 * 16 - 1)


def test_the_canvas_of_an_animation_is_bounded_before_it_is_made() -> None:
    frames = [Image.new("RGB", (24, 16), colour) for colour in ("red", "blue")]
    data = encoded("WEBP", frames[0], save_all=True, append_images=frames[1:])
    assert look_at(data, "body", 24 * 16).data == data
    with pytest.raises(InputTooLarge, match="an image of 24×16"):
        look_at(data, "body", 24 * 16 - 1)


def test_the_scans_of_a_jpeg_are_bounded_and_fewer_may_be_in_a_large_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded("JPEG", progressive=True)
    scans = data.count(b"\xff\xda")
    assert scans > 5
    assert look_at(data, "body", MANY).data == data
    with monkeypatch.context() as patch:
        patch.setattr(image_file, "MAX_SCANS", scans - 1)
        with pytest.raises(
            InvalidInput, match=f"{scans} scans or more in a JPEG of 384 pixels, expected at most"
        ):
            look_at(data, "body", MANY)
    with monkeypatch.context() as patch:
        patch.setattr(image_file, "SCANS_OF_THE_LARGEST", scans - 1)
        look_at(data, "body", 24 * 16 * 2)
        with pytest.raises(InvalidInput, match="scans or more"):
            look_at(data, "body", 24 * 16)


def test_scans_are_looked_for_where_the_first_one_leaves_components_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A sequential file of one scan is not searched; of a part of the components, or a progressive one, it is."""
    plain, progressive = encoded("JPEG"), encoded("JPEG", progressive=True)
    scan = plain.index(b"\xff\xda")
    parted = bytearray(plain)
    parted[scan + 4] = 1
    monkeypatch.setattr(image_file, "MAX_SCANS", 0)
    assert look_at(plain, "body", MANY).data == plain
    for searched in (bytes(parted), progressive):
        with pytest.raises(InvalidInput, match=r"scans? or more"):
            look_at(searched, "body", MANY)


def test_a_sequential_jpeg_ends_with_a_scan_of_all_components() -> None:
    """What `look_at` takes from libjpeg: another scan behind it is an error, and is not decoded."""
    plain = encoded("JPEG")
    again = plain[:-2] + plain[plain.index(b"\xff\xda") :]
    with pytest.raises(OSError, match="broken data stream"):
        Image.open(io.BytesIO(again)).load()


def test_what_only_looks_like_scans_is_not_counted() -> None:
    """In a comment, and behind the image's end, where cameras put a film."""
    plain = encoded("JPEG")
    noise = b"\xff\xda" * 300
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(noise)) + noise
    scan = plain.index(b"\xff\xda")
    for data in (plain + noise, plain[:2] + comment + plain[2:], plain[:scan] + comment + plain[scan:]):
        np.testing.assert_array_equal(decoded(data), decoded(plain))


@pytest.mark.parametrize(
    ("kind", "at", "part", "words"),
    [
        ("JPEG", 2, b"\xff\xfe\x00\x02", "segments or more before the first scan of a JPEG"),
        ("JPEG", 2, b"\x00", "bytes or more between the segments of a JPEG"),
        ("JPEG", 2, b"\xff\x01", "bytes or more between the segments of a JPEG"),
        ("PNG", 33, chunk(b"prIv"), "chunks or more in a PNG"),
        ("GIF", -1, b"!\xfe\x01x\x00", "bytes or more before the first frame of a GIF"),
        ("GIF", -1, b"x", "bytes or more before the first frame of a GIF"),
    ],
)
def test_parts_are_bounded_by_name(
    monkeypatch: pytest.MonkeyPatch, kind: str, at: int, part: bytes, words: str
) -> None:
    for name in ("MAX_SEGMENTS", "MAX_CHUNKS", "MAX_BLOCK_BYTES", "MAX_JUNK_BYTES"):
        monkeypatch.setattr(image_file, name, 40)
    plain = encoded(kind, Image.new("L", (4, 4)))
    at = plain.index(b",", 13) if at < 0 else at
    look_at(plain, "body", MANY)
    with pytest.raises(InvalidInput, match=f"^body: got .*{words}.*, expected at most 40"):
        look_at(plain[:at] + part * 60 + plain[at:], "body", MANY)


def test_a_bmp_with_runs_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(encoded("BMP", Image.new("P", (4, 4))))
    monkeypatch.setattr(image_file, "MAX_BLOCK_BYTES", len(data) - 1)
    look_at(bytes(data), "body", MANY)
    data[30] = 1
    with pytest.raises(InvalidInput, match="in a BMP with runs"):
        look_at(bytes(data), "body", MANY)


def test_any_file_cut_anywhere_is_looked_at_without_a_fault() -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        data = encoded(kind)
        for end in range(min(len(data), 700)):
            look_at(data[:end], "body", MANY)
