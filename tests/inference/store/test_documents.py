"""A JSON file of a bundle is a record, or is refused with the file and the field; nothing else comes out of it."""

from pathlib import Path

import pytest
from pydantic import Field

from inference.configs import Record
from inference.errors import ManifestInvalid
from inference.store.documents import read_document, read_lines


class Part(Record):
    """A record within a record."""

    share: float = Field(1.0, ge=0, le=1)


class Whole(Record):
    """A record."""

    size: int = Field(ge=0, le=100)
    parts: dict[str, Part] = Field(default_factory=dict)
    lists: tuple[tuple[int, ...], ...] = ()


def refusal(data: bytes) -> str:
    with pytest.raises(ManifestInvalid) as refused:
        read_document(Whole, data, Path("m/1"), "whole.json")
    return refused.value.reason


def test_a_document_is_a_record() -> None:
    found = read_document(Whole, b'{"size": 7, "parts": {"a": {"share": 1}}}', Path("m/1"), "whole.json")
    assert (found.size, found.parts["a"].share) == (7, 1.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"size": 101}', "whole.json: size: Input should be less than or equal to 100"),
        ('{"size": "7"}', "whole.json: size: "),
        ('{"size": true}', "whole.json: size: "),
        ('{"size": 7, "colour": 1}', "whole.json: colour: Extra"),
        ('{"size": 7, "parts": {"a": {"share": NaN}}}', "whole.json: parts.a.share: "),
        ('{"size": 7, "parts": {"a": {"share": 1e999}}}', "whole.json: parts.a.share: "),
        ('{"size": 7,\n "parts": {}, "parts": {}}', "whole.json: parts: got this key twice"),
        ('{"size": 7, "parts": {"a": {"share": 1, "share": 0}}}', "whole.json: share: got this key twice"),
        ('{"parts": {},\n"size": ' + "9" * 5000 + "}", "thousands of digits, in line 2, at size"),
        ('{"size": 7,\n"lists": ' + "[" * 100_000, "values in one another, in line 2, at lists"),
        ('{"size": 7,\n"lists": ' + "[" * 300 + "]" * 300 + "}", "in line 2, at lists"),
        ('{"size": 7,\n"lists" [', "in line 2, at size"),
        ('\ufeff{"size": 7}', "it is not JSON: Unexpected UTF-8 BOM"),
        ('{"size": 7, "parts": {"\\ud800": {}}}', "whole.json: Invalid JSON"),
        ("", "it is not JSON"),
        ("[]", "whole.json: "),
        ("{" + ",".join(f'"k{i}": 0' for i in range(70_000)) + "}", "k0: got an object of 70000 keys"),
    ],
    ids=lambda text: text[:24].replace("\n", " "),
)
def test_a_fault_is_refused_with_its_field_or_its_place(text: str, words: str) -> None:
    said = refusal(text.encode())
    assert words in said
    assert len(said) < 1000


def test_bytes_that_are_no_text_are_refused_with_their_place() -> None:
    assert "not UTF-8, in line 2, at parts" in refusal(b'{"size": 7,\n"parts": {"\xff": {}}}')


def test_a_message_names_five_faults_and_counts_the_others() -> None:
    said = refusal(b'{"size": 7, ' + b",".join(b'"k%d": 0' % i for i in range(50)) + b"}")
    assert said.count("Extra inputs") == 5
    assert said.endswith("; and 45 more")


def test_lines_are_strings_and_the_first_that_is_none_is_named() -> None:
    assert read_lines(b'["a", "b"]', Path("m/1"), "labels.json") == ("a", "b")
    with pytest.raises(ManifestInvalid, match=r"labels\.json: 1: Input should be a valid string"):
        read_lines(b'["a", 7, 8]', Path("m/1"), "labels.json")
