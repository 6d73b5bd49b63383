"""`python -m scripts.draw_wings`: draws the floors of `scripts/wings.py` into `docs/wings.svg`.

A floor may import every floor under it, so the drawing has one arrow from each floor to the next. The imports
that are there, wing by wing, are printed by `python -m scripts.wings`.
"""

from collections.abc import Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape

from scripts.wings import ORDER, ROOT

FILE = ROOT / "docs" / "wings.svg"

NOTES = {
    "inference": {
        "__main__": "check, inspect, predict",
        "predictor": "answers without HTTP",
        "proving": "golden examples, rows",
        "processors": "inputs to tensors, back",
        "store": "bundles on disk",
        "runtime": "ONNX Runtime's sessions",
        "triton": "config.pbtxt",
        "manifest": "a bundle's promises",
        "errors": "one tree of errors",
        "options": "how a graph runs",
        "values": "types of a request",
        "folder": "files and versions",
        "configs": "processors' parameters",
    },
    "serving": {
        "__main__": "baton serve: one process, or several",
        "bench": "baton bench, a client",
        "page": "the page in a browser",
        "workers": "several processes behind one port",
        "server": "uvicorn: start, drain, stop",
        "app": "puts the parts together",
        "http": "protocol, fast path, routes",
        "observe": "metrics, logs, traces",
        "engine": "registry, queue, batches, drift",
        "codec": "bytes to values, values to bytes",
        "access": "keys, limits, hosts",
        "settings": "all flags",
        "lifecycle": "ready or not",
        "listening": "the socket",
        "healthcheck": "the probe",
    },
    "training": {
        "__main__": "baton train",
        "pipeline": "the steps of a run, in order",
        "release": "export, verify, quantize, publish",
        "fit": "the loop, checkpoints, early stop",
        "tasks": "vision, text, recommendation",
        "evaluate": "metrics, slices, calibration",
        "data": "data sets, your files, splits",
        "checks": "paths, before any work",
        "run": "the run's folder",
        "results": "RESULTS.md",
        "config": "every setting of a run",
        "architectures": "one network a file, and their registry",
        "flags": "flags that no setting has",
        "errors": "faults a user can mend",
        "lineage": "the model it started from",
    },
}
"""A few words on each wing; a test compares the names with those of the floors."""

TITLES = {
    "serving": ("answers over HTTP", "#0e7490"),
    "training": ("makes a bundle", "#6d28d9"),
    "inference": ("the core of both: no torch, no web framework, no event loop", "#b45309"),
}
"""The subtitle of each package, and its colour, which has a contrast of over 4.5 to white."""

WIDTH, MARGIN, COLUMN = 960, 24, 444
ROOM_HEIGHT, GAP, ROOM_GAP = 44, 18, 8
HEADING = 48
INK, GREY = "#0f172a", "#475569"
LEGEND = (
    "A floor imports from the floors under it,",
    "never from above and never from beside.",
    "A name with / is a folder, one without is a file.",
)
ACROSS = 5
"""Rooms of the core beside one another: its nine floors would be taller than the two columns over it."""
CROWDED = 3
"""From so many rooms on a floor their text is set smaller."""


class Room(NamedTuple):
    """A rectangle of the drawing, in its pixels."""

    x: float
    y: float
    width: float


def height_of(package: str) -> int:
    """The pixels of a package's column, its heading and the gap under its lowest floor included."""
    return HEADING + len(ORDER[package]) * (ROOM_HEIGHT + GAP)


def drawing() -> str:
    """The whole file. Serving and training stand on inference, so their lowest floors are in one line."""
    bottom = MARGIN + max(height_of("serving"), height_of("training"))
    right = WIDTH - MARGIN - COLUMN
    body = [
        *_legend(),
        *_column("serving", MARGIN, bottom),
        *_column("training", right, bottom),
        *_core(bottom),
    ]
    height = bottom + _core_height() + MARGIN
    lines = "\n".join(body)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d"'
        " font-family=\"ui-sans-serif, system-ui, 'DejaVu Sans', sans-serif\">\n"
        '<title id="t">The wings of the three packages</title>\n'
        f'<desc id="d">{escape(_description())}</desc>\n'
        '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{GREY}"/></marker></defs>\n'
        f'<rect width="{WIDTH}" height="{height}" rx="14" fill="#f8fafc"/>\n{lines}\n</svg>\n'
    )


def _legend() -> Iterator[str]:
    """How to read it, in the room over the shorter column."""
    for number, line in enumerate(LEGEND):
        yield _text(MARGIN, MARGIN + 26 + number * 20, 14, line, GREY)


def _description() -> str:
    """The floors as text, for a screen reader."""
    stacks = [
        f"{package}, from the top: {'; '.join(', '.join(floor) for floor in reversed(floors))}."
        for package, floors in ORDER.items()
    ]
    return " ".join([*LEGEND, *stacks])


def _column(package: str, x: float, bottom: float) -> Iterator[str]:
    """A package: its heading, its floors, and an arrow from each floor to the next."""
    top = bottom - height_of(package)
    yield from _heading(package, x, top)
    for number, floor in enumerate(reversed(ORDER[package])):
        y = top + HEADING + number * (ROOM_HEIGHT + GAP)
        yield _arrow(x + COLUMN / 2, y + ROOM_HEIGHT)
        width = (COLUMN - ROOM_GAP * (len(floor) - 1)) / len(floor)
        for place, wing in enumerate(floor):
            yield from _room(package, wing, Room(x + place * (width + ROOM_GAP), y, width), len(floor))


def _label(package: str, wing: str) -> str:
    return f"{wing}/" if (ROOT / package / wing).is_dir() else wing


def _heading(package: str, x: float, y: float) -> Iterator[str]:
    subtitle, colour = TITLES[package]
    yield (
        f'<text x="{x}" y="{y + 28}" font-size="20" font-weight="700" fill="{colour}">{package}/'
        f'<tspan dx="10" font-size="14" font-weight="400" fill="{GREY}">{escape(subtitle)}</tspan></text>'
    )


def _room(package: str, wing: str, room: Room, on_floor: int) -> Iterator[str]:
    """One wing: its name over its note, or beside it where the floor is its own."""
    colour, note = TITLES[package][1], NOTES[package].get(wing, "")
    label = _label(package, wing)
    yield (
        f'<rect x="{room.x:g}" y="{room.y:g}" width="{room.width:g}" height="{ROOM_HEIGHT}" rx="8" fill="#fff"'
        f' stroke="{colour}" stroke-width="1.5"/>'
    )
    name, text = (14, 13) if on_floor < CROWDED else (13, 12)
    left = room.x + (12 if on_floor < CROWDED else 8)
    if on_floor == 1:
        yield _text(left, room.y + 27, name + 1, label, INK, bold=True)
        yield _text(left + 136, room.y + 27, text + 1, note, GREY)
    else:
        yield _text(left, room.y + 18, name, label, INK, bold=True)
        yield _text(left, room.y + 35, text, note, GREY)


def _core_height() -> int:
    rows = -(-sum(map(len, ORDER["inference"])) // ACROSS)
    return HEADING + rows * (ROOM_HEIGHT + ROOM_GAP) + ROOM_GAP


def _core(top: float) -> Iterator[str]:
    """The core as one box: its wings stand in reading order, and each imports later ones only."""
    colour = TITLES["inference"][1]
    yield (
        f'<rect x="{MARGIN}" y="{top}" width="{WIDTH - 2 * MARGIN}" height="{_core_height()}" rx="10" fill="none"'
        f' stroke="{colour}" stroke-width="2"/>'
    )
    yield from _heading("inference", MARGIN + ROOM_GAP + 4, top + 4)
    width = (WIDTH - 2 * MARGIN - (ACROSS + 1) * ROOM_GAP) / ACROSS
    wings = [wing for floor in reversed(ORDER["inference"]) for wing in floor]
    for number, wing in enumerate(wings):
        row, place = divmod(number, ACROSS)
        x = MARGIN + ROOM_GAP + place * (width + ROOM_GAP)
        y = top + HEADING + row * (ROOM_HEIGHT + ROOM_GAP)
        yield from _room("inference", wing, Room(x, y, width), ACROSS)


def _text(x: float, y: float, size: float, text: str, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="700"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}"{weight} fill="{colour}">{escape(text)}</text>'


def _arrow(x: float, y: float) -> str:
    return f'<path d="M{x:g} {y:g}v{GAP - 3}" stroke="{GREY}" stroke-width="2" marker-end="url(#a)"/>'


def main() -> int:
    """Write the file again."""
    FILE.write_text(drawing(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
