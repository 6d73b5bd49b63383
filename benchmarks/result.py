"""The result of a benchmark: a table and its promises, in results/NAME.json."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from inference.errors import counted
from serving.bench.figures import Interval
from serving.bench.machine import Machine, fingerprint

FOLDER = Path(__file__).parent / "results"


class Claim(BaseModel):
    """A promise beside the measured value."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    expected: str
    actual: str
    kept: bool


class Curve(BaseModel):
    """One line of a plot, in the panel of its name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    panel: str
    label: str
    x: tuple[float, ...]
    y: tuple[Interval, ...]


class Plot(BaseModel):
    """The data of `benchmarks.plots`: panels side by side over one kind of axis."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    x: str
    curves: tuple[Curve, ...]
    linear: bool = False
    """Both axes are linear and begin at 0; else logarithmic."""

    @property
    def panels(self) -> list[str]:
        """In the order in which curves name them."""
        return list(dict.fromkeys(curve.panel for curve in self.curves))


class Grid(BaseModel):
    """The data of a picture of cases: the table's rows, numbered from 1, as cells that held or failed.

    `rows`: the group of each case, which is a row of the picture. `columns`: by version of Baton, each case's outcome.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: tuple[str, ...]
    columns: dict[str, tuple[bool, ...]]


class Result(BaseModel):
    """One benchmark's outcome; the first column of `rows` names the row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    command: str
    machine: Machine
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    claims: tuple[Claim, ...] = ()
    notes: tuple[str, ...] = ()
    """Facts of this run without which the table misleads."""
    plot: Plot | None = None
    grid: Grid | None = None


def parser(name: str, text: str | None) -> argparse.ArgumentParser:
    """A benchmark's command line, with the file of its result."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=text)
    made.add_argument("--out", type=Path, default=FOLDER / f"{name}.json", help="where the result is written")
    return made


def write(
    out: Path,
    columns: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    claims: Sequence[Claim],
    notes: Sequence[str] = (),
    plot: Plot | None = None,
    grid: Grid | None = None,
) -> int:
    """Write and print a result; the exit status: 1 if a promise was not kept."""
    name = out.stem
    result = Result(
        name=name,
        command=shlex.join(
            ["python", "-m", f"benchmarks.{_module(sys.argv[0])}", *map(_without_folders, sys.argv[1:])]
        ),
        machine=fingerprint(),
        columns=columns,
        rows=tuple(rows),
        claims=tuple(claims),
        notes=tuple(notes),
        plot=plot,
        grid=grid,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(result.model_dump_json(indent=1) + "\n")
    print(markdown(result))
    return 0 if all(claim.kept for claim in claims) else 1


def _module(file: str) -> str:
    """The name under `benchmarks` of a module, or of a package, that is run."""
    path = Path(file)
    return path.parent.name if path.stem == "__main__" else path.stem


def _without_folders(argument: str) -> str:
    """An argument without the folders of this machine, since results are published."""
    path = Path(argument)
    return path.name if path.is_absolute() else argument


def markdown(result: Result) -> str:
    """The result as README.md shows it."""
    machine = result.machine
    lines = [
        f"`{result.command}` on {machine.taken:%Y-%m-%d}: {_words(machine)}",
        "",
        *_rows(result),
    ]
    if result.claims:
        rows = [(c.text, c.expected, c.actual, "yes" if c.kept else "**no**") for c in result.claims]
        lines += ["", *_table(("promise", "expected", "actual", "kept"), rows)]
    lines += [line for note in result.notes for line in ("", note)]
    if result.plot:
        lines += ["", f"![{', '.join(result.plot.panels)}](results/{result.name}.png)"]
    return "\n".join(lines)


def _rows(result: Result) -> list[str]:
    """The table; that of a grid has many rows of words, so the picture comes first and the rows are folded."""
    if result.grid is None:
        return _table(result.columns, result.rows)
    areas = counted(len(set(result.grid.rows)), "area")
    return [
        f"![{counted(len(result.rows), 'case')} in {areas}: held or failed](results/{result.name}.png)",
        "",
        f"<details><summary>The {counted(len(result.rows), 'case')}: what was done, expected and seen</summary>",
        "",
        *_table(result.columns, result.rows, words=True),
        "",
        "</details>",
    ]


def _words(machine: Machine) -> str:
    load = "" if machine.load_average is None else f", load average {machine.load_average[0]:.1f}"
    packages = machine.packages
    runtime = packages.get("onnxruntime-gpu") or packages.get("onnxruntime", "none")
    on = "".join(f", {gpu}" for gpu in machine.gpus)
    return f"{machine.cpu}, {machine.usable_cpus} CPUs{on}{load}, Python {machine.python}, ONNX Runtime {runtime}."


def shown(value: Interval, form: str = "{:.2f}") -> str:
    """A median with its 95 % interval."""
    if value.low is None or value.high is None:
        return form.format(value.median)
    return f"{form.format(value.median)} ({form.format(value.low)}–{form.format(value.high)})"


def _table(columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], *, words: bool = False) -> list[str]:
    rule = "|".join(["---", *["---" if words else "--:"] * (len(columns) - 1)])
    return [f"| {' | '.join(columns)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]
