"""`python -m training.fit.run_metrics [RUNS] [--port 9109]`: Prometheus metrics of the runs in a folder.

It reads what a run writes anyway (`config.json`, the CSV log, `published.json`) and needs nothing but the
standard library, so it may run beside a training or on another machine that sees the folder.
"""

import argparse
import contextlib
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 9109
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_HELP = {
    "baton_run_info": "A training run: always 1.",
    "baton_run_metric": "The last value of what a run logs.",
    "baton_run_step": "Optimiser steps done.",
    "baton_run_epoch": "Epochs begun before this one.",
    "baton_run_updated_timestamp_seconds": "Unix time of the last line of the log.",
    "baton_run_finished": "1 once the run has published its bundle.",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory, as far as it has got."""

    name: str
    facts: dict[str, str]
    finished: bool
    step: int = 0
    epoch: int = 0
    updated: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)


def read_runs(folder: Path) -> list[Run]:
    """Every run below `folder`, by name; a directory without a configuration is none."""
    return [_read(config.parent) for config in sorted(folder.glob("*/config.json"))]


def _read(path: Path) -> Run:
    try:
        config = json.loads((path / "config.json").read_text())
    except ValueError:  # half written
        config = {}
    facts = {key: str(config.get(key, "")) for key in ("task", "data", "arch")}
    finished = (path / "published.json").exists()
    logs = sorted(path.glob("logs/csv/version_*/metrics.csv"), key=lambda log: log.stat().st_mtime)
    if not logs:
        return Run(path.name, facts, finished)
    step, epoch, metrics = _last_values(logs[-1])
    return Run(path.name, facts, finished, step, epoch, logs[-1].stat().st_mtime, metrics)


def _last_values(log: Path) -> tuple[int, int, dict[str, float]]:
    """Step, epoch and the last value of each column; a line that is being written is left out."""
    step = epoch = 0
    metrics: dict[str, float] = {}
    with log.open(newline="") as lines:
        for row in csv.DictReader(lines):
            try:
                numbers = {key: float(value) for key, value in row.items() if value}
            except (TypeError, ValueError):
                continue
            epoch, step = int(numbers.pop("epoch", epoch)), int(numbers.pop("step", step))
            metrics |= numbers
    return step, epoch, metrics


def render(runs: Sequence[Run]) -> str:
    """The runs in Prometheus' text format."""
    lines = []
    for name, about in _HELP.items():
        lines += [f"# HELP {name} {about}", f"# TYPE {name} gauge"]
        lines += [f"{name}{{{labels}}} {value!r}" for run in runs for labels, value in _samples(name, run)]
    return "\n".join(lines) + "\n"


def _samples(name: str, run: Run) -> Iterator[tuple[str, float]]:
    own = _label("run", run.name)
    match name:
        case "baton_run_info":
            yield ",".join((own, *(_label(key, value) for key, value in run.facts.items()))), 1.0
        case "baton_run_metric":
            for metric, value in run.metrics.items():
                yield f"{own},{_label('metric', metric)}", value
        case "baton_run_step":
            yield own, float(run.step)
        case "baton_run_epoch":
            yield own, float(run.epoch)
        case "baton_run_updated_timestamp_seconds":
            yield own, run.updated
        case "baton_run_finished":
            yield own, float(run.finished)


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"'


def make_server(runs: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Answers every GET with the runs as they are."""

    class Scrape(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = render(read_runs(runs)).encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # Prometheus gave up waiting; it comes again
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """A scrape every few seconds is not worth a line."""

    return ThreadingHTTPServer((host, port), Scrape)


def main(argv: Sequence[str]) -> int:
    """Serve until it is stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m training.fit.run_metrics", description="Runs as Prometheus metrics."
    )
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"), help="folder of runs")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a container")
    parser.add_argument("--port", type=int, default=PORT, help="port to listen on")
    arguments = parser.parse_args(argv)
    server = make_server(arguments.runs, arguments.host, arguments.port)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
