"""Baton beside its peers: answers a second, latency by connections and by rate, memory and start of each server.

Writes `peers_MODEL.json` for each model, `peers_open.json` and `footprint.json`. `--scripts` is a folder kept
elsewhere whose `run.py` starts each peer on the same ONNX files; `benchmarks/turns.py` has its interface.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from benchmarks.footprint import image_note, weigh_starts, write_footprint
from benchmarks.open_loop import Opened, drive_open, write_open
from benchmarks.promises import Turns, best, claims, ratios
from benchmarks.result import FOLDER, Curve, Plot, shown, write
from benchmarks.turns import Bare, Driven, Peer, Scripts, Turn, by_turns, load_scripts, start_each
from serving.bench.figures import interval


@dataclass(frozen=True, slots=True)
class Plan:
    """The peers of a model, and the seconds of a turn: up to 16 connections, and over them."""

    peers: tuple[str, ...]
    seconds: tuple[int, int] = (1, 1)
    ceilings: tuple[str, ...] = Bare.labels
    """Labels of `Bare`, driven beside them without a server."""


PLANS = {
    "tiny": Plan(
        ("baton:1", "baton:2", "triton:1", "triton:2", "raw:1", "fastapi:1", "torchserve:1",
         "mlserver:1:PEER_PARALLEL=0", "kserve:1", "litserve:1", "bentoml:1", "mlflow:1"),
        ceilings=(),  # some millions a second
    ),
    "text": Plan(("baton:1", "triton:1", "triton:2", "raw:1", "torchserve:1")),
    # Some 40 images a second: in a turn each of 64 connections must be answered several times. The runs at its end
    # (two batches of up to four) count for no server; `session.run` has no such end.
    "resnet50": Plan(("baton:1", "triton:1", "triton:2", "torchserve:1"), (4, 8), ceilings=(Bare.as_it_comes,)),
}  # fmt: skip


def main() -> int:
    """Drive, write, and say which promises hold."""
    given = _parser().parse_args()
    signal.signal(signal.SIGTERM, _end)
    scripts = load_scripts(given.scripts)
    images = [image_note(*given.images)] if given.images else []
    given.results.mkdir(parents=True, exist_ok=True)
    status, opened = 0, list[Opened]()
    for model in given.models:
        with ExitStack() as stack:
            status |= _measure(given, scripts, model, images, stack, opened)
    if opened:
        status |= write_open(given.results / "peers_open.json", opened)
    return status


def _measure(
    given: argparse.Namespace,
    scripts: Scripts,
    model: str,
    images: Sequence[str],
    stack: ExitStack,
    opened: list[Opened],
) -> int:
    """All of one model; what was started is ended by the stack."""
    plan = PLANS[model]
    specs = given.peers or plan.peers
    print(f"{model}: {', '.join(specs)}", file=sys.stderr)
    weighed = model == "tiny"
    starts = [weigh_starts(scripts, specs, model) for _ in range(given.starts - 1)] if weighed else []
    peers: list[Peer] = []
    for peer in start_each(scripts, specs, model):
        stack.callback(peer.close)
        peers.append(peer)
    starts.append({peer.label: (peer.start_s, peer.start_cpu_s) for peer in peers})
    driven: list[Driven] = list(peers)
    notes: list[str] = []
    for label in plan.ceilings:
        file = _models(scripts) / f"{model}.onnx"
        bare = Bare(file, file.with_suffix(".in.npy"), label)
        stack.callback(bare.close)
        driven.append(bare)
        notes.append(
            f"`{bare.label}` has no server and no connections: {bare.found}, the best of what was tried."
        )
    turns = _drive(driven, given.connections, plan.seconds, given.rounds)
    status = _write_model(given.results / f"peers_{model}.json", model, turns, notes)
    if weighed:
        status |= write_footprint(given.results / "footprint.json", scripts, peers, starts, images)
    both = ("baton:1", best(turns, "triton", max(given.connections)))
    pair = [peer for peer in peers if peer.label in both]
    if model in given.open and len(pair) == len(both):
        print("open loop", file=sys.stderr)
        try:
            opened.append(drive_open(pair, model, given.rounds))
        except subprocess.CalledProcessError as error:  # it has said why; the next model goes on
            status |= error.returncode
    return status


def _end(number: int, _frame: object) -> NoReturn:
    """Leave by an exception, so that the servers which were started are ended too."""
    sys.exit(f"ended by {signal.Signals(number).name}")


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    made.add_argument("--scripts", type=Path, required=True, help="the folder that starts the peers")
    made.add_argument("--models", type=_names, default=list(PLANS), help=f"of {','.join(PLANS)}; default all")
    made.add_argument("--peers", type=_names, help="instead of each model's own, the first is what others are held to:"
                      " NAME:WORKERS,…")  # fmt: skip
    made.add_argument("--connections", type=lambda text: [int(each) for each in text.split(",")],
                      default=[1, 16, 64])  # fmt: skip
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--starts", type=int, default=2, help="of each peer, for the footprint")
    made.add_argument("--open", type=_names, default=["tiny", "text"], help="models of the open loop")
    made.add_argument(
        "--images", nargs=2, metavar=("BASE", "IMAGE"), help="Baton's image and what it is built on"
    )
    made.add_argument("--results", type=Path, default=FOLDER)
    return made


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _models(scripts: Scripts) -> Path:
    return Path(os.environ.get("PEER_MODELS", Path(scripts.BASE) / "models"))


def _drive(
    driven: Sequence[Driven], connections: Sequence[int], seconds: tuple[int, int], rounds: int
) -> Turns:
    by_turns(driven, max(connections), 1, 1)  # warms up
    turns: dict[tuple[str, int], list[Turn]] = {}
    for number in connections:
        print(f"{number} connections", file=sys.stderr)
        found = by_turns(driven, number, seconds[number > 16], rounds)
        turns |= {(label, number): each for label, each in found.items()}
    return turns


def _write_model(out: Path, model: str, turns: Turns, notes: Sequence[str]) -> int:
    numbers = list(dict.fromkeys(number for _, number in turns))
    labels = [label for label, number in turns if number == numbers[-1]]
    whole = [label for label in labels if all((label, number) in turns for number in numbers)]
    first = whole[0]
    over = {key: interval(ratios(turns[first, key[1]], found)) for key, found in turns.items()}
    order = sorted(whole, key=lambda label: over[label, numbers[-1]].median)
    rows = [
        (
            label,
            *(shown(over[label, number]) for number in numbers),
            *(
                " / ".join(f"{_median(turns[label, number], figure):{form}}" for number in numbers)
                if figure is _rate or label not in Bare.labels
                else "–"
                for figure, form in ((_rate, ".0f"), (_p50, ".2f"), (_p99, ".2f"))
            ),
            str(sum(turn.errors for number in numbers for turn in turns[label, number])),
        )
        for label in order
    ]
    joined = " / ".join(map(str, numbers))
    columns = (
        f"{model}, connections: {joined}",
        *(f"{first} over it, {number}" for number in numbers),
        "answers/s", "p50 ms", "p99 ms", "errors",
    )  # fmt: skip
    curves = tuple(
        Curve(
            panel=f"{model}: {panel}",
            label=label,
            x=tuple(numbers),
            y=tuple(interval([figure(turn) for turn in turns[label, number]]) for number in numbers),
        )
        for panel, figure in (("answers a second", _rate), ("p50, ms", _p50), ("p99, ms", _p99))
        for label in order
        if panel == "answers a second" or label not in Bare.labels
    )
    plot = Plot(x="connections", curves=curves)
    return write(out, columns, rows, claims(model, turns), notes, plot)


def _rate(turn: Turn) -> float:
    return turn.rate


def _p50(turn: Turn) -> float:
    return turn.p50_ms


def _p99(turn: Turn) -> float:
    return turn.p99_ms


def _median(turns: Sequence[Turn], figure: Callable[[Turn], float]) -> float:
    return interval([figure(turn) for turn in turns]).median


if __name__ == "__main__":
    sys.exit(main())
