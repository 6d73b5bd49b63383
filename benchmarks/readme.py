"""Writes every result into README.md, between its markers, and draws its plot: `python -m benchmarks.readme`."""

import re
import sys
from pathlib import Path

from benchmarks.plots import draw, draw_grid
from benchmarks.result import FOLDER, Result, markdown

README = Path(__file__).parent / "README.md"
_SLOT = re.compile(r"<!-- result: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> int:
    """Fill the slots; a slot without a result says so."""
    for file in sorted(FOLDER.glob("*.json")):
        result = _read(file)
        if result.plot:
            draw(result.plot, file.with_suffix(".png"))
        if result.grid:
            draw_grid(result.grid, file.with_suffix(".png"))
    README.write_text(filled(README.read_text()))
    return 0


def filled(text: str) -> str:
    """README with the results as they are now."""
    return _SLOT.sub(_filled, text)


def _filled(slot: re.Match[str]) -> str:
    name = slot[1]
    file = FOLDER / f"{name}.json"
    text = markdown(_read(file)) if file.exists() else "Not measured yet."
    return f"<!-- result: {name} -->\n{text}\n<!-- end -->"


def _read(file: Path) -> Result:
    return Result.model_validate_json(file.read_text())


if __name__ == "__main__":
    sys.exit(main())
