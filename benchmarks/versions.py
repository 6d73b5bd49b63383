"""This version of Baton against another checkout of it, by turns: time to ready, memory, and answers a second."""

import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

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
    with tempfile.TemporaryDirectory() as scratch:
        for name, models in _started(Path(scratch)).items():
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
            row, ratio = _row(name, pairs, 0)
            rows.append(row)
            kept = ratio.median >= AS_FAST
            claims.append(Claim(text=name, wanted=f"at least {AS_FAST}", seen=shown(ratio), kept=kept))
    return write(given.out, ("", "the other", "this", "this over the other"), rows, claims)


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


def _loads(models: Path, given: object) -> dict[tuple[str, int], list[list[float]]]:
    """Answers a second of the other version and of this one, by model and connections, a pair a round."""
    write_mlp(models, "tiny", TINY)
    write_text(models)
    seen: dict[tuple[str, int], list[list[float]]] = defaultdict(list)
    rounds, seconds, other = (getattr(given, name) for name in ("rounds", "seconds", "against"))
    with serving(models, checkout=other) as before, serving(models) as after:
        for number in range(rounds):
            for load in LOADS:
                order: Callable[[list[Server]], list[Server]] = (
                    list if number % 2 else lambda pair: pair[::-1]
                )
                rates = {id(server): _rate(server, *load, seconds) for server in order([before, after])}
                seen[load].append([rates[id(before)], rates[id(after)]])
    return seen


def _rate(server: Server, model: str, connections: int, seconds: int) -> float:
    (body, *_) = random_bodies(read_metadata(server.url, model, TIMEOUT_S), 1, {}, binary=False)
    return drive(server, f"/v2/models/{model}/infer", body, connections, seconds).rate


def _row(name: str, pairs: list[list[float]], digits: int) -> tuple[tuple[str, ...], Interval]:
    ratio = interval([after / before for before, after in pairs])
    form = f"{{:.{digits}f}}"
    figures = (shown(interval([pair[place] for pair in pairs]), form) for place in (0, 1))
    return (name, *figures, shown(ratio)), ratio


def _at_most(text: str, ratio: Interval, most: float) -> Claim:
    return Claim(text=text, wanted=f"at most {most:g}", seen=shown(ratio), kept=ratio.median <= most)


if __name__ == "__main__":
    sys.exit(main())
