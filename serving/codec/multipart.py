"""A form upload: its parts, in order. Nothing is written to disk, since the root may be read-only."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from inference.errors import InputTooLarge, InvalidInput, counted

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks


@dataclass(slots=True)
class Part:
    """One field or file: `media_type` as its own header gives it, text/plain where it gives none."""

    name: str
    media_type: str
    data: bytes


@dataclass(slots=True)
class _Gathering:
    """Collects parts as the parser calls back."""

    limit: int
    parts: list[Part] = field(default_factory=list)
    _key: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _headers: dict[str, str] = field(default_factory=dict)
    _data: bytearray = field(default_factory=bytearray)

    def on_part_begin(self) -> None:
        if len(self.parts) == self.limit:
            raise InputTooLarge("body", f"more than {counted(self.limit, 'part')}", f"at most {self.limit}")
        self._headers, self._data = {}, bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._key += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._key.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._key, self._value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition"))
        media_type = self._headers.get("content-type", "text/plain")
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self.parts.append(Part(name, media_type, bytes(self._data)))


def decode_parts(body: bytes, content_type: str, limit: int) -> list[Part]:
    """The parts of a multipart/form-data body, at most `limit` of them."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise InvalidInput("Content-Type", content_type, "multipart/form-data with a boundary")
    gathered = _Gathering(limit)
    callbacks: MultipartCallbacks = {
        "on_part_begin": gathered.on_part_begin,
        "on_part_data": gathered.on_part_data,
        "on_part_end": gathered.on_part_end,
        "on_header_field": gathered.on_header_field,
        "on_header_value": gathered.on_header_value,
        "on_header_end": gathered.on_header_end,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput("body", f"{counted(len(body), 'byte')} ({error})", "multipart/form-data") from None
    return gathered.parts
