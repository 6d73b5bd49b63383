"""The drawing of the wings is the one that the code draws, and has every wing in it."""

import itertools
import re
from xml.etree import ElementTree

from scripts.draw_wings import FILE, NOTES, TITLES, drawing
from scripts.wings import ORDER, ROOT

SVG = "{http://www.w3.org/2000/svg}"


def test_the_drawing_in_the_documents_is_the_one_that_the_code_draws() -> None:
    said = "run `python -m scripts.draw_wings`"
    assert FILE.read_text(encoding="utf-8") == drawing(), said


def test_each_wing_has_a_note_and_each_package_a_title() -> None:
    floors = {package: set(itertools.chain(*order)) for package, order in ORDER.items()}
    assert {package: set(notes) for package, notes in NOTES.items()} == floors
    assert set(TITLES) == set(ORDER)


def test_each_wing_that_is_drawn_is_there() -> None:
    drawn = [ROOT / package / wing for package, floors in ORDER.items() for wing in itertools.chain(*floors)]
    assert [wing for wing in drawn if not wing.is_dir() and not wing.with_suffix(".py").is_file()] == []


def test_a_wing_stands_lower_than_those_that_may_import_it() -> None:
    found = ElementTree.fromstring(drawing())  # noqa: S314 - our own text
    heights: dict[str, list[float]] = {}
    for text in found.iter(f"{SVG}text"):
        heights.setdefault((text.text or "").rstrip("/"), []).append(float(text.attrib["y"]))
    for package in ("serving", "training"):
        wings = [floor for floor in ORDER[package] if "__main__" not in floor and "errors" not in floor]
        for lower, upper in itertools.pairwise(wings):
            assert min(heights[lower[0]]) - max(heights[upper[0]]) > 0, (lower, upper)


def test_every_arrow_points_down() -> None:
    arrows = re.findall(r'<path d="M[\d.]+ [\d.]+(v|h|l|V|H|L)(-?\d+)" stroke', drawing())
    assert len(arrows) == len(ORDER["serving"]) + len(ORDER["training"])
    assert all(direction == "v" and int(length) > 0 for direction, length in arrows)


def test_nothing_is_drawn_outside_of_the_drawing() -> None:
    found = ElementTree.fromstring(drawing())  # noqa: S314 - our own text
    _, _, width, height = map(float, found.attrib["viewBox"].split())
    for box in found.iter(f"{SVG}rect"):
        left, top = float(box.attrib.get("x", 0)), float(box.attrib.get("y", 0))
        assert 0 <= left <= left + float(box.attrib["width"]) <= width
        assert 0 <= top <= top + float(box.attrib["height"]) <= height
