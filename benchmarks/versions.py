"""This version of Baton against another checkout of it, by turns: time to ready, memory, and answers a second."""

import argparse
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.asking import TIMEOUT_S
from benchmarks.graphs import TINY, write_mlp, write_resnet50, write_text
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import Server, serving
from benchmarks.wrk import drive
from serving.bench.figures import Interval, interval
from serving.bench.request import random_bodies, read_metadata

SOONER, AS_FAST = 0.5, 0.98
"""Wanted of the other version's: seconds to ready at most, answers a second at least."""

STARTS = ("resnet50", "densenet121", "ten of resnet50")
LOADS = (("tiny", 1), ("tiny", 16), ("tiny", 64), ("text", 1), ("text", 16), ("text", 64))


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    made = parser("versions", __doc__)
    made.add_argument("--against", type=Path, required=True, help="the folder of the other checkout")
    made.add_argument("--starts", type=int, default=5, help="rounds of starts")
    made.add_argument("--rounds", type=int, default=7, help="rounds of load")
    made.add_argument("--seconds", type=int, default=2, help="of each server in each load and round")
    given = made.parse_args()
    rows: list[tuple[str, ...]] = []
    claims: list[Claim] = []
    # Starts count from the second on, as on a machine where it has run before: then Python's modules are compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as scratch:
        for name, models in _started(Path(scratch)).items() if given.starts else ():
            if name == STARTS[0]:
                _start(models, given.against)
            seen = [_start(models, given.against) for _ in range(given.starts)]
            for text, pick, digits, most in (
                ("seconds to ready", _seconds, 2, SOONER),
                ("peak MiB when ready", _peak, 0, 1.0),
            ):
                row, ratio = _row(f"{name}: {text}", [[pick(each) for each in pair] for pair in seen], digits)
                rows.append(row)
                claims.append(_at_most(f"{name}: {text}", ratio, most))
        loaded = _loads(Path(scratch) / "loads", given)
        for (model, connections), pairs in loaded.items():
            name = f"{model}, {connections} connections: answers a second"
            row, ratio = _row(name, [[load.rate for load in pair] for pair in pairs], 0)
            rows.append(row)
            cost = [[load.cpu_us for load in pair] for pair in pairs]
            rows.append(_row(f"{model}, {connections} connections: processor µs a request", cost, 1)[0])
            kept = ratio.median >= AS_FAST
            claims.append(Claim(text=name, expected=f"at least {AS_FAST}", seen=shown(ratio), kept=kept))
    return write(given.out, ("", "the other", "this", "this over the other"), rows, claims)


class Load(NamedTuple):
    """What a server did: answers a second, and the processor time of each, which repeats where rates do not."""

    rate: float
    cpu_us: float


Start = tuple[float, float]
"""Seconds to ready and MiB at the most."""


def _seconds(start: Start) -> float:
    return start[0]


def _peak(start: Start) -> float:
    return start[1]


def _started(scratch: Path) -> dict[str, Path]:
    """Folders of models by what is started with them; the onnx package brings DenseNet's graph along."""
    import onnx

    light = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    folders = {name: scratch / name.replace(" ", "-") for name in STARTS}
    write_resnet50(folders["resnet50"])
    dense = folders["densenet121"] / "densenet121" / "1"
    dense.mkdir(parents=True)
    shutil.copy(light / "light_densenet121.onnx", dense / "model.onnx")
    for number in range(10):
        copy = folders["ten of resnet50"] / f"resnet50-{number}"
        copy.mkdir(parents=True)
        (copy / "1").symlink_to(folders["resnet50"] / "resnet50" / "1")
    return folders


def _start(models: Path, other: Path) -> tuple[Start, Start]:
    """The other version, then this one."""
    seen: list[Start] = []
    for checkout in (other, None):
        with serving(models, checkout=checkout, measured=False) as server:
            seen.append((server.seconds, server.peak_mib()))
    return seen[0], seen[1]


def _loads(models: Path, given: argparse.Namespace) -> dict[tuple[str, int], list[list[Load]]]:
    """What the other version and this one did, by model and connections, a pair a round."""
    write_mlp(models, "tiny", TINY)
    write_text(models)
    seen: dict[tuple[str, int], list[list[Load]]] = defaultdict(list)
    with serving(models, checkout=given.against) as before, serving(models) as after:
        for number in range(given.rounds):
            for load in LOADS:
                order: Callable[[list[Server]], list[Server]] = (
                    list if number % 2 else lambda pair: pair[::-1]
                )
                did = {id(server): _ask(server, *load, given.seconds) for server in order([before, after])}
                seen[load].append([did[id(before)], did[id(after)]])
    return seen


def _ask(server: Server, model: str, connections: int, seconds: int) -> Load:
    (body, *_) = random_bodies(read_metadata(server.url, model, TIMEOUT_S), 1, {}, binary=False)
    spent = server.cpu_s()
    seen = drive(server, f"/v2/models/{model}/infer", body, connections, seconds)
    return Load(seen.rate, (server.cpu_s() - spent) * 1e6 / (seen.rate * seconds))


def _row(name: str, pairs: list[list[float]], digits: int) -> tuple[tuple[str, ...], Interval]:
    ratio = interval([after / before for before, after in pairs])
    form = f"{{:.{digits}f}}"
    figures = (shown(interval([pair[place] for pair in pairs]), form) for place in (0, 1))
    return (name, *figures, shown(ratio)), ratio


def _at_most(text: str, ratio: Interval, most: float) -> Claim:
    return Claim(text=text, expected=f"at most {most:g}", seen=shown(ratio), kept=ratio.median <= most)


if __name__ == "__main__":
    sys.exit(main())
