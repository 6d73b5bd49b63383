"""Every field of Triton's is honoured, ignored or refused, and the guide says which."""

from pathlib import Path
from typing import Any

import pytest

from inference.triton.fields import HONOURED, IGNORED, REFUSED
from inference.triton.schema import config_message

DOCS = (Path(__file__).parents[3] / "docs" / "repository.md").read_text(encoding="utf-8")


def paths(message: Any, prefix: str = "") -> list[str]:
    """Every field as deep as it is told apart."""
    found = []
    for field in message.fields:
        path = f"{prefix}{field.name}"
        if path in HONOURED | IGNORED | REFUSED or field.message_type is None:
            found.append(path)
        else:
            found += paths(field.message_type, f"{path}.")
    return found


def test_every_field_of_tritons_has_its_place() -> None:
    every = paths(config_message().DESCRIPTOR)
    assert sorted(every) == sorted([*HONOURED, *IGNORED, *REFUSED])


@pytest.mark.parametrize("table", [HONOURED, IGNORED, REFUSED], ids=["honoured", "ignored", "refused"])
def test_the_guide_has_every_field_with_what_becomes_of_it(table: dict[str, str]) -> None:
    for field, reason in table.items():
        assert f"| `{field}` | {reason} |" in DOCS, f"put into docs/repository.md: | `{field}` | {reason} |"
