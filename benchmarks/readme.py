"""Writes every result into README.md, between its markers: `python -m benchmarks.readme`."""

import re
import sys
from pathlib import Path

from benchmarks.result import FOLDER, Result, markdown

README = Path(__file__).parent / "README.md"
_SLOT = re.compile(r"<!-- result: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> int:
    """Fill the slots; a slot without a result says so."""
    README.write_text(_SLOT.sub(_filled, README.read_text()))
    return 0


def _filled(slot: re.Match[str]) -> str:
    name = slot[1]
    file = FOLDER / f"{name}.json"
    text = markdown(Result.model_validate_json(file.read_text())) if file.exists() else "Not measured yet."
    return f"<!-- result: {name} -->\n{text}\n<!-- end -->"


if __name__ == "__main__":
    sys.exit(main())
