"""The record: for every architecture and set the published figure, ours, and the effort.

    python -m training.results record BUNDLE --published 0.949 --source "…" [--target 0.949] [--note "…"]
    python -m training.results            # RESULTS.md again, from results.json

Ours is read from the bundle's manifest, where the evaluation on test put it. Nothing here trains.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from inference.errors import BatonError
from inference.manifest import Manifest
from inference.store.bundle import Bundle
from training.lineage import options_of, task_of

HERE = Path(__file__).parent
RESULTS_FILE, TABLE_FILE = HERE / "results.json", HERE / "RESULTS.md"
MAIN_METRICS = ("ndcg@10", "accuracy")
"""The figure that a task is compared by, the first that an evaluation has."""

TABLE_HEAD = (
    "| set | architecture | metric | published | target | ours | int8 | int8 latency | parameters | MFLOPs "
    "| epochs | seconds | seed |"
)


class Result(BaseModel):
    """One architecture on one set. `ours`, `int8` and `rows` are of the test split; `seconds` is wall time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: str
    data: str
    arch: str
    metric: str
    published: float
    source: str
    target: float
    ours: float
    int8: float | None = None
    latency_ratio: float | None = None
    rows: int
    parameters: int
    mflops: float | None = None
    epochs: float
    seconds: float
    seed: int
    command: str
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.task, self.data, self.arch


_RESULTS = TypeAdapter(tuple[Result, ...])


def read_results(path: Path = RESULTS_FILE) -> tuple[Result, ...]:
    """The recorded results, in the order of the file."""
    return _RESULTS.validate_json(path.read_text(encoding="utf-8")) if path.exists() else ()


def record(
    bundle: Path, published: float, source: str, target: float | None, note: str, metric: str | None = None
) -> Result:
    """A bundle's figures beside the published one."""
    manifest = Bundle.open(bundle).manifest
    origin = manifest.provenance
    fp32, int8 = manifest.graphs["fp32"].evaluation, manifest.graphs.get("int8")
    if origin is None or fp32 is None or manifest.data is None:
        raise ValueError(f"{bundle}: its manifest holds no evaluation and provenance")
    chosen = metric or next(name for name in MAIN_METRICS if name in fp32.metrics)
    return Result(
        task=task_of(manifest),
        data=manifest.data.name,
        arch=manifest.architecture,
        metric=chosen,
        published=published,
        source=source,
        target=published if target is None else target,
        ours=round(fp32.metrics[chosen], 4),
        int8=round(int8.evaluation.metrics[chosen], 4) if int8 and int8.evaluation else None,
        latency_ratio=round(int8.latency_ratio, 2) if int8 and int8.latency_ratio else None,
        rows=fp32.rows,
        parameters=origin.parameters,
        mflops=_mflops(manifest),
        epochs=origin.epochs,
        seconds=origin.train_seconds,
        seed=origin.seed,
        command=origin.command,
        note=note,
    )


def _mflops(manifest: Manifest) -> float | None:
    """Millions of multiplications and additions for one image, counted by PyTorch; None for other tasks.

    A model that answers over the mirror image too runs twice.
    """
    if task_of(manifest) != "vision" or manifest.provenance is None:
        return None
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from training.architectures.registry import find_architecture

    (_, height, width, channels), (_, classes) = manifest.inputs[0].shape, manifest.outputs[0].shape
    network = find_architecture("vision", manifest.architecture).build(
        (channels, height, width), classes, **options_of(manifest)
    )
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.eval()(torch.zeros(1, channels, height, width))
    runs = 2 if manifest.provenance.config.get("mirror") else 1
    return round(runs * float(counter.get_total_flops()) / 1e6, 1)


def with_result(results: Sequence[Result], new: Result) -> tuple[Result, ...]:
    """The results with `new` instead of the same architecture on the same set, sorted."""
    by_key = {result.key: result for result in results} | {new.key: new}
    return tuple(sorted(by_key.values(), key=lambda result: result.key))


def render(results: Sequence[Result]) -> str:
    """RESULTS.md: a table for each task, then the commands and notes."""
    lines = [
        "# Results",
        "",
        "Written by `python -m training.results` from `results.json`; every figure of ours comes from the manifest of",
        "a bundle, scored on the test split through ONNX Runtime. Nothing was chosen on test. Seconds are wall time on",
        "two CPU cores that other work shared, unless a note says otherwise; MFLOPs are for one example.",
    ]
    for task in dict.fromkeys(result.task for result in results):
        lines += [
            "",
            f"## {task.capitalize()}",
            "",
            TABLE_HEAD,
            "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        mine = [result for result in results if result.task == task]
        lines += [_row(result) for result in mine]
        lines += ["", *(_account(result) for result in mine)]
    return "\n".join(lines) + "\n"


def _row(result: Result) -> str:
    ours = f"**{result.ours:.4f}**" if result.ours >= result.target else f"{result.ours:.4f} (missed)"
    cells = (
        result.data,
        result.arch,
        result.metric,
        f"{result.published:g}",
        f"{result.target:g}",
        ours,
        _or_dash(result.int8, ".4f"),
        _or_dash(result.latency_ratio, ".2f"),
        f"{result.parameters:,}",
        _or_dash(result.mflops, ",.1f"),
        f"{result.epochs:g}",
        f"{result.seconds:,.0f}",
        str(result.seed),
    )
    return f"| {' | '.join(cells)} |"


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _account(result: Result) -> str:
    note = f" {result.note}" if result.note else ""
    return f"- {result.data}, {result.arch}: `{result.command}`. Published: {result.source}.{note}"


def summary(results: Sequence[Result], arch: str) -> str:
    """The line of `baton train --help` on an architecture: its cost and its measured score, set by set."""
    return "; ".join(
        f"{result.data} {result.metric} {result.ours:.4f} (published {result.published:g}), {cost(result)}"
        for result in results
        if result.arch == arch
    )


def cost(result: Result) -> str:
    """Parameters and, where they were counted, operations."""
    weights = f"{result.parameters / 1e6:.2f} M parameters"
    return weights if result.mflops is None else f"{weights}, {result.mflops:,.1f} MFLOPs"


def main(argv: Sequence[str], files: Mapping[str, Path] | None = None) -> int:
    """`files` stand in for the checked-in ones in a test."""
    paths = {"results": RESULTS_FILE, "table": TABLE_FILE, **(files or {})}
    parser = argparse.ArgumentParser(
        prog="python -m training.results", description="The record of what was measured."
    )
    adding = parser.add_subparsers(dest="verb").add_parser("record", help="add the figures of a bundle")
    adding.add_argument("bundle", type=Path)
    adding.add_argument("--published", type=float, required=True, help="the figure that others reached")
    adding.add_argument("--source", required=True, help="its paper, table or page")
    adding.add_argument("--target", type=float, help="the figure aimed at, if not the published one")
    adding.add_argument("--metric", help="the figure of the evaluation; accuracy or NDCG if not given")
    adding.add_argument("--note", default="", help="remarks for a reader, such as why ours is lower")
    given = parser.parse_args(argv)
    results = read_results(paths["results"])
    if given.verb == "record":
        try:
            new = record(given.bundle, given.published, given.source, given.target, given.note, given.metric)
        except (BatonError, ValueError) as error:
            print(f"training.results: {error}", file=sys.stderr)
            return 1
        results = with_result(results, new)
        paths["results"].write_text(
            json.dumps([result.model_dump() for result in results], indent=1, ensure_ascii=False) + "\n",
            encoding="utf-8",
        )
    paths["table"].write_text(render(results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
