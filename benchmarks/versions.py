"""This version of Baton against another checkout of it, by turns: starts, memory, answers a second, training steps."""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.asking import TIMEOUT_S
from benchmarks.graphs import TINY, write_mlp, write_resnet50, write_text
from benchmarks.photos import make_photos
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import Server, serving
from benchmarks.wrk import drive
from serving.bench.figures import Interval, interval
from serving.bench.request import Body, random_bodies, read_metadata

ROOT = Path(__file__).resolve().parent.parent
MOST_TIME, LEAST_RATE = 0.5, 0.98
"""Of the other version's: seconds to ready at most, and rates at least."""

STARTS = ("resnet50", "densenet121", "ten of resnet50")
CONNECTIONS = {"tiny": (1, 16, 64), "text": (1, 16, 64), "photos": (1, 16)}
"""By model; photographs take some milliseconds each, so 16 connections keep two CPUs busy."""
PARTS = ("starts", *CONNECTIONS, "train")
TRAIN = "vision --batch-size 32"
"""The embedded digits: 45 steps of some 10 ms, so that the loop's own time shows."""

Pairs = Sequence[tuple[float, float]]
"""The other version's value and this one's, round by round."""


class Comparison(NamedTuple):
    """A figure of both versions; `least` or `most` is promised of the ratio, this version over the other."""

    text: str
    pairs: Pairs
    digits: int
    least: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> Interval:
        """Taken inside each round, so that the machine's drift cancels."""
        return interval([after / before for before, after in self.pairs])

    def row(self) -> tuple[str, ...]:
        """Of the table: both medians and the ratio."""
        form = f"{{:.{self.digits}f}}"
        before, after = (interval([pair[side] for pair in self.pairs]) for side in (0, 1))
        return self.text, shown(before, form), shown(after, form), shown(self.ratio)

    def claims(self) -> list[Claim]:
        """The promise, if there is one."""
        ratio = self.ratio
        if self.least is not None:
            expected, kept = f"at least {self.least:g}", ratio.median >= self.least
        elif self.most is not None:
            expected, kept = f"at most {self.most:g}", ratio.median <= self.most
        else:
            return []
        return [Claim(text=self.text, expected=expected, actual=shown(ratio), kept=kept)]


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("versions", __doc__)
    cli.add_argument("--against", type=Path, required=True, help="the folder of the other checkout")
    cli.add_argument("--only", type=parts, default=PARTS, metavar="PART,…", help=f"of {', '.join(PARTS)}")
    cli.add_argument("--starts", type=int, default=5, help="rounds of starts")
    cli.add_argument("--rounds", type=int, default=7, help="rounds of load, and of training")
    cli.add_argument("--seconds", type=int, default=2, help="of each server in each load and round")
    cli.add_argument("--train", default=TRAIN, help=f"flags of benchmarks.train_loop (default: {TRAIN})")
    given = cli.parse_args()
    # Starts count from the second on, as on a machine where it has run before: then Python's modules are compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as scratch:
        found = [*_starts(Path(scratch), given), *_loads(Path(scratch) / "loads", given), *_training(given)]
    rows = [comparison.row() for comparison in found]
    claims = [claim for comparison in found for claim in comparison.claims()]
    return write(given.out, ("", "the other", "this", "this over the other"), rows, claims)


def parts(text: str) -> tuple[str, ...]:
    """`tiny,train` as its parts."""
    chosen = tuple(text.split(","))
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"got {unknown[0]!r}, expected some of {', '.join(PARTS)}")
    return chosen


def _starts(scratch: Path, given: argparse.Namespace) -> Iterator[Comparison]:
    """Seconds to ready and the most memory by then."""
    if "starts" not in given.only or not given.starts:
        return
    for name, models in _started(scratch).items():
        if name == STARTS[0]:
            _start(models, given.against)
        pairs = [_start(models, given.against) for _ in range(given.starts)]
        yield Comparison(
            f"{name}: seconds to ready", [(a.seconds, b.seconds) for a, b in pairs], 2, most=MOST_TIME
        )
        yield Comparison(
            f"{name}: peak MiB when ready", [(a.peak_mib, b.peak_mib) for a, b in pairs], 0, most=1
        )


class Start(NamedTuple):
    """A start until ready."""

    seconds: float
    peak_mib: float


def _started(scratch: Path) -> dict[str, Path]:
    """Folders of models by name; the onnx package brings DenseNet's graph along."""
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
    starts: list[Start] = []
    for checkout in (other, None):
        with serving(models, checkout=checkout, measured=False) as server:
            starts.append(Start(server.seconds, server.peak_mib()))
    return starts[0], starts[1]


class Load(NamedTuple):
    """One server's answers a second, and the processor time of each, which repeats where rates do not."""

    rate: float
    cpu_us: float


def _loads(models: Path, given: argparse.Namespace) -> Iterator[Comparison]:
    """Every chosen model at every number of connections; both versions serve the same folder all the time."""
    loads = [(model, number) for model in given.only if model in CONNECTIONS for number in CONNECTIONS[model]]
    if not loads:
        return
    _write_models(models)
    photo = Body(make_photos(1)[0], {"Content-Type": "image/jpeg"})
    pairs: dict[tuple[str, int], list[tuple[Load, Load]]] = defaultdict(list)
    # Both run by one measured profile, where their formats agree: two measurements of one model may choose differently,
    # and with one connection a plan with a second session answers 1.3 times as many photographs.
    kept = ("--profile-cache", str(models.with_name("profiles")))
    with serving(models, kept, checkout=given.against) as before, serving(models, kept) as after:
        for number in range(given.rounds):
            for load in loads:
                by_side = {
                    side: _ask((before, after)[side], *load, photo, given.seconds) for side in order(number)
                }
                pairs[load].append((by_side[0], by_side[1]))
    for (model, connections), found in pairs.items():
        text = f"{model}, {connections} connections"
        yield Comparison(
            f"{text}: answers a second", [(a.rate, b.rate) for a, b in found], 0, least=LEAST_RATE
        )
        yield Comparison(f"{text}: processor µs a request", [(a.cpu_us, b.cpu_us) for a, b in found], 1)


def _write_models(models: Path) -> None:
    write_mlp(models, "tiny", TINY)
    write_text(models)
    shutil.copytree(ROOT / "models" / "photos", models / "photos")


def _ask(server: Server, model: str, connections: int, photo: Body, seconds: int) -> Load:
    if model == "photos":
        path, body = f"/v1/models/{model}:predict", photo
    else:
        path = f"/v2/models/{model}/infer"
        (body, *_) = random_bodies(read_metadata(server.url, model, TIMEOUT_S), 1, {}, binary=False)
    spent = server.cpu_s()
    result = drive(server, path, body, connections, seconds)
    return Load(result.rate, (server.cpu_s() - spent) * 1e6 / (result.rate * seconds))


def _training(given: argparse.Namespace) -> Iterator[Comparison]:
    """Steps a second of each checkout's own training loop, in a process for each turn."""
    if "train" not in given.only:
        return
    pairs: list[tuple[float, float]] = []
    for number in range(given.rounds):
        by_side = {side: _steps_per_s((given.against, ROOT)[side], given.train) for side in order(number)}
        pairs.append((by_side[0], by_side[1]))
    yield Comparison(f"train {given.train}: steps a second", pairs, 2, least=LEAST_RATE)


def _steps_per_s(checkout: Path, flags: str) -> float:
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "step.json"
        command = [sys.executable, "-m", "benchmarks.train_loop", *shlex.split(flags), "--rounds", "1",
                   "--out", str(out)]  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
        # Status 1 only says that the step was slower than promised beside the bare loop.
        done = subprocess.run(
            command, cwd=checkout, env=environment, check=False, capture_output=True, text=True
        )
        if done.returncode > 1 or not out.exists():
            raise SystemExit(f"{checkout.name}: benchmarks.train_loop failed:\n{done.stderr}")
        return 1e3 / step_ms(out.read_text())


def step_ms(result: str) -> float:
    """Of the JSON of `benchmarks.train_loop`, in the words of any version: milliseconds of Baton's step."""
    rows: list[list[str]] = json.loads(result)["rows"]
    return next(float(text.split()[0]) for name, text in rows if name == "Baton")


def order(turn: int) -> tuple[int, int]:
    """Which side begins: they take turns, so that the place in a round favours neither."""
    return (0, 1) if turn % 2 else (1, 0)


if __name__ == "__main__":
    sys.exit(main())
