"""Bundles whose files were spoiled at random: each is served or refused by name, and nothing else ever happens.

Every field of every JSON file of the shipped models is set to values that a stranger, or a mistake, may put there; the
digests are those of the spoiled files, so that the content itself is looked at. `tests/benchmarks` runs a small share.
"""

import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.faults.bench import ROOT
from benchmarks.result import Claim, parser, write
from inference.errors import BundleRefused, ManifestInvalid
from inference.predictor import Predictor
from inference.store.bundle import file_record
from inference.store.located import MANIFEST_FILE

_COLUMNS = ("outcome", "bundles")

_HUGE = 10**400

VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 255, 2**31, 2**40, 2**63, 2**64, -(2**63) - 1, _HUGE, 0.5, -0.5, 1e-320, 1e308,
    -1e308, float("nan"), float("inf"), float("-inf"), "", "x", "3", "x" * 100_000, "a\0b", "../../etc/hostname",
    "/etc/hostname", "a\\b", "\N{SNOWMAN}" * 2000, [], {}, [[]], [None], [0] * 5000, {"": 0},
    {"x" * 5000: 1}, [1, [2, [3]]],
)  # fmt: skip
"""Each field is set to one of them."""

RAW: tuple[bytes, ...] = (
    b"", b" ", b"null", b"[]", b"{}", b"7", b'"x"', b"{", b"\xef\xbb\xbf{}", b"\xff\xfe{\0}\0", b"\x80", b"\0" * 100,
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 150 + b"]" * 150, b"[" * 500 + b"]" * 500, b"9" * 100_000,
    b'{"a": "\\ud800"}', b'{"a": 1, "a": 2}', b"NaN", b"-", b"1e999", b"//", b"{'a': 1}",
)  # fmt: skip
"""In the place of a whole file."""

NUMBERS: tuple[bytes, ...] = (
    b"1e999",
    b"-1e999",
    b"NaN",
    b"Infinity",
    b"9" * 5000,
    b"1" + b"0" * 400,
    b"0x10",
    b"01",
    b"-",
)
"""In the place of one value, as JSON's own writer would never put it."""


class Spoiled(NamedTuple):
    """A file's new content, and the keys that lead to what was changed in it; none for the file as a whole."""

    data: bytes
    keys: tuple[str | int, ...]


def spoil(content: Any, rng: random.Random) -> Spoiled:
    """The document with one thing in it changed."""
    if rng.random() < 0.08:
        return Spoiled(rng.choice(RAW), ())
    content = json.loads(json.dumps(content))
    keys = rng.choice(_places(content))
    kind = rng.random()
    if kind < 0.08 and keys:
        holder = _at(content, keys[:-1])
        del holder[keys[-1]]
        return Spoiled(json.dumps(content).encode(), keys)
    if kind < 0.14 and isinstance(_at(content, keys), dict):
        _at(content, keys)["surprise"] = rng.choice(VALUES)
        return Spoiled(json.dumps(content).encode(), (*keys, "surprise"))
    if not keys:
        return Spoiled(json.dumps(rng.choice(VALUES)).encode(), ())
    mark = "@@here@@"
    value: Any = rng.choice(VALUES) if kind < 0.9 else mark
    _at(content, keys[:-1])[keys[-1]] = value
    return Spoiled(json.dumps(content).encode().replace(b'"%s"' % mark.encode(), rng.choice(NUMBERS)), keys)


def outcome(folder: Path, name: str, spoiled: Spoiled) -> str:
    """How the bundle with that content in the place of a file is taken, in a word; anything else is raised."""
    before = (folder / name).read_bytes()
    manifest = (folder / MANIFEST_FILE).read_bytes()
    try:
        (folder / name).write_bytes(spoiled.data)
        if name != MANIFEST_FILE:
            listed = json.loads(manifest)
            listed["files"][name] = file_record(spoiled.data).model_dump()
            (folder / MANIFEST_FILE).write_text(json.dumps(listed))
        Predictor.open(folder)
    except BundleRefused as refusal:
        if isinstance(refusal, ManifestInvalid) and not _names(refusal.reason, name, spoiled):
            raise AssertionError(f"it does not name {spoiled.keys}: {refusal}") from refusal
        if len(str(refusal)) > 4000:
            raise AssertionError(f"a message of {len(str(refusal))} characters") from refusal
        return type(refusal).__name__
    finally:
        (folder / name).write_bytes(before)
        (folder / MANIFEST_FILE).write_bytes(manifest)
    return "served"


def _names(reason: str, name: str, spoiled: Spoiled) -> bool:
    """Whether a reason says the field, or one that holds it or must agree with it; or else the file and the place."""
    if not any(isinstance(key, str) for key in spoiled.keys):
        return name in reason
    return any(str(key) in reason for key in spoiled.keys) or " line " in reason


def _places(content: Any, keys: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The ways to every value; of a long list only to some, so that numbers in tables are not all there is."""
    found = [keys]
    pairs: Sequence[tuple[str | int, Any]] = ()
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))[:3]
    for key, value in pairs:
        found += _places(value, (*keys, key))
    return found


def _at(content: Any, keys: tuple[str | int, ...]) -> Any:
    for key in keys:
        content = content[key]
    return content


def documents(models: Path) -> Iterator[tuple[Path, str]]:
    """The folder and the name of each JSON file of the bundles in a folder of models."""
    for manifest in sorted(models.glob(f"*/*/{MANIFEST_FILE}")):
        for file in sorted(manifest.parent.glob("*.json")):
            yield manifest.parent, file.name


def run(models: Path, count: int, seed: int) -> Counter[str]:
    """Spoil the bundles of a folder, which is written to, so many times; how often each outcome was seen."""
    rng = random.Random(seed)
    found = list(documents(models))
    contents = {place: json.loads((place[0] / place[1]).read_bytes()) for place in found}
    seen: Counter[str] = Counter()
    for number in range(count):
        folder, name = found[number % len(found)]
        spoiled = spoil(contents[folder, name], rng)
        try:
            seen[outcome(folder, name, spoiled)] += 1
        except BaseException as error:
            error.add_note(f"{folder.parent.name}/{folder.name}/{name}, input {number} of seed {seed}: "
                           f"{spoiled.keys} {spoiled.data[:200]!r}")  # fmt: skip
            raise
    return seen


def main() -> int:
    """Spoil copies of the shipped models, and write how they were taken."""
    cli = parser("hostile_bundles", __doc__)
    cli.add_argument("--inputs", type=int, default=10_000)
    cli.add_argument("--seed", type=int, default=0)
    given = cli.parse_args()
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        models = Path(folder) / "models"
        shutil.copytree(ROOT / "models", models)
        began = time.monotonic()
        seen = run(models, given.inputs, given.seed)
    rows = [(kind, str(number)) for kind, number in seen.most_common()]
    taken = sum(seen.values())
    print(f"{taken} bundles in {time.monotonic() - began:.0f} s: {dict(seen.most_common())}", file=sys.stderr)
    claim = Claim(text="bundles that were served or refused by name", expected=str(given.inputs), actual=str(taken),
                  kept=taken == given.inputs)  # fmt: skip
    return write(given.out, _COLUMNS, rows, [claim])


if __name__ == "__main__":
    sys.exit(main())
