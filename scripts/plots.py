"""Plot the dashboards' panels and a trace for the docs, from a real Prometheus over real load.

    python -m scripts.plots --seconds 240        needs prometheus in the path, matplotlib, the tracing extra

Grafana itself is not used: each panel's own expressions are asked of Prometheus over the time of the load, and
plotted plainly. The values are measured; Grafana would style them in another way.
"""

import argparse
import base64
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
import matplotlib.pyplot as plt
import yaml

from scripts.smoke_test import ROOT, Replica, clients_of, free_port, publish, wait
from training.fit.run_metrics import make_server

OUT = ROOT / "docs/pictures"
COLUMNS = 3
STEP_S = 2


@contextlib.contextmanager
def prometheus(folder: Path, targets: dict[str, list[str]]) -> Iterator[str]:
    """One that scrapes these every second, with our rules; its URL."""
    program = shutil.which("prometheus")
    if program is None:
        sys.exit("prometheus is not installed")
    jobs = [{"job_name": name, "static_configs": [{"targets": found}]} for name, found in targets.items()]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ROOT / "deploy/prometheus/rules/*.yml")],
        "scrape_configs": jobs,
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    flags = [
        "--log.level=warn",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    process = subprocess.Popen([program, f"--config.file={folder / 'prometheus.yml'}", *flags])
    try:
        url = f"http://127.0.0.1:{port}"
        wait(lambda: bool(ask(url, "query", query="up == 1")), "Prometheus to scrape")
        yield url
    finally:
        process.terminate()
        process.wait()


def ask(url: str, path: str, **query: str) -> list[dict[str, Any]]:
    """Samples; none while it is not up."""
    try:
        with urllib.request.urlopen(
            f"{url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30
        ) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except OSError:
        return []
    return found


def load(bundle: Path, model: str, replicas: Sequence[Replica], seconds: float, midway: Any) -> None:
    """Each golden example from a client of its own, and some nonsense; `midway` is called halfway."""
    golden = json.loads((bundle / "golden.json").read_text())["examples"]
    bodies = [
        json.dumps(
            {"instances": [{"b64": base64.b64encode((bundle / each["file"]).read_bytes()).decode()}]}
        ).encode()
        for each in golden
    ]
    clients = [
        clients_of(model, body, lambda number: replicas[number % len(replicas)], 1) for body in bodies[:6]
    ]
    clients.append(clients_of(model, b'{"instances": [7]}', slowly(replicas), 1))
    timer = threading.Timer(seconds / 2, midway)
    timer.start()
    with contextlib.ExitStack() as asking:
        for client in clients:
            asking.enter_context(client.asking())
            time.sleep(seconds / len(clients))
    timer.join()


def slowly(replicas: Sequence[Replica]) -> Any:
    """Picks a replica after 0.2 s, for a client with fewer requests."""

    def pick(number: int) -> Replica:
        time.sleep(0.2)
        return replicas[number % len(replicas)]

    return pick


def draw(board: dict[str, Any], url: str, began: float, ended: float, file: Path) -> None:
    """Every panel that has data, in the order of the dashboard."""
    panels = [panel for panel in board["panels"] if panel["type"] in ("timeseries", "stat")]
    rows = -(-len(panels) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(15, 2.6 * rows), squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    for panel, axis in zip(panels, axes.flat, strict=False):
        axis.set_title(panel["title"], fontsize=9, loc="left")
        axis.tick_params(labelsize=7)
        stacked = (
            panel.get("fieldConfig", {}).get("defaults", {}).get("custom", {}).get("stacking", {}).get("mode")
            == "normal"
        )
        lines = [line for target in panel["targets"] for line in series(target, url, began, ended)]
        if stacked and lines:
            times = sorted({x for _, xs, _ in lines for x in xs})
            values = [[dict(zip(xs, ys, strict=True)).get(x, 0.0) for x in times] for _, xs, ys in lines]
            axis.stackplot(times, values, labels=[name for name, _, _ in lines], alpha=0.7)
        else:
            for name, xs, ys in lines:
                axis.plot(xs, ys, linewidth=1, label=name)
            axis.set_ylim(bottom=0)
        if lines and any(name for name, _, _ in lines):
            axis.legend(fontsize=6, loc="upper left", ncols=2, framealpha=0.6)
    figure.suptitle(
        f"{board['title']} – its expressions over {ended - began:.0f} s of load; seconds on the x axis",
        fontsize=11,
    )
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    figure.savefig(file, dpi=85)
    plt.close(figure)


def series(
    target: dict[str, Any], url: str, began: float, ended: float
) -> list[tuple[str, list[float], list[float]]]:
    """Name, seconds and values of each line of a panel's target."""
    expression = re.sub(
        r"\$(\w+)", lambda name: {"__rate_interval": "15s"}.get(name[1], ".*"), target["expr"]
    )
    found = ask(url, "query_range", query=expression, start=f"{began}", end=f"{ended}", step=f"{STEP_S}")
    lines = []
    for sample in found[:14]:
        labels = sample["metric"]
        name = target.get("legendFormat", "")
        for label, value in labels.items():
            name = name.replace(f"{{{{{label}}}}}", value)
        points = [
            (float(at) - began, float(value))
            for at, value in sample["values"]
            if value not in ("NaN", "+Inf")
        ]
        lines.append((name, [x for x, _ in points], [y for _, y in points]))
    return lines


def draw_trace(bundle: Path, file: Path) -> None:
    """One request's spans, as the exporter would send them, from the server's own Server-Timing."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from serving.engine.context import StageTimes
    from serving.http.matching import Route
    from serving.observe.telemetry import Tracing

    replica = Replica.started[-1]
    golden = json.loads((bundle / "golden.json").read_text())["examples"][0]
    path = f"/v1/models/{bundle.parent.name}:predict"
    request = urllib.request.Request(
        f"http://127.0.0.1:{replica.port}{path}", (bundle / golden["file"]).read_bytes(),
        {"content-type": golden["media_type"]},
    )  # fmt: skip
    for _ in range(5):
        with urllib.request.urlopen(request, timeout=10) as answer:
            timing = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"]))
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    times = StageTimes(**{stage: round(float(ms) * 1e6) for stage, ms in timing.items()}, batch_rows=1)
    Tracing(provider).observe(Route("predict", bundle.parent.name, None, path), {}, times, 200)
    spans = sorted(kept.get_finished_spans(), key=lambda span: (span.start_time or 0, -(span.end_time or 0)))
    zero = spans[0].start_time or 0
    figure, axis = plt.subplots(figsize=(9, 2.6))
    for row, span in enumerate(spans):
        start, end = (span.start_time or 0) - zero, (span.end_time or 0) - zero
        axis.barh(row, (end - start) * 1e-6, left=start * 1e-6, color="tab:blue" if row else "tab:gray")
        axis.text(end * 1e-6, row, f" {span.name}  {(end - start) * 1e-6:.2f} ms", va="center", fontsize=8)
    axis.invert_yaxis()
    axis.set_yticks([])
    axis.set_xlim(right=(spans[0].end_time - zero) * 1.35e-6 if spans[0].end_time else None)
    axis.set_xlabel("milliseconds", fontsize=8)
    axis.set_title("One request's spans", fontsize=9, loc="left")
    figure.tight_layout()
    figure.savefig(file, dpi=85)


def main() -> int:
    """Load, then draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", type=Path, default=ROOT / "models")
    parser.add_argument("--model", default="fashion")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--seconds", type=float, default=240)
    arguments = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    bundle = max((arguments.models / arguments.model).iterdir(), key=lambda path: path.name)
    exporter = make_server(arguments.runs, "127.0.0.1", 0)
    threading.Thread(target=exporter.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = folder / "models"
        publish(bundle, models / arguments.model / "1", 1)
        try:
            replicas = [Replica("one", models, folder), Replica("other", models, folder)]
            targets = {
                "baton": [f"127.0.0.1:{each.port}" for each in replicas],
                "baton-training": [f"127.0.0.1:{exporter.server_port}"],
            }
            with prometheus(folder, targets) as url:
                began = time.time()
                load(bundle, arguments.model, replicas, arguments.seconds,
                     lambda: publish(bundle, models / arguments.model / "2", 2))  # fmt: skip
                ended = time.time()
                for board in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
                    draw(json.loads(board.read_text()), url, began, ended, OUT / f"{board.stem}.png")
            draw_trace(bundle, OUT / "trace.png")
        finally:
            for replica in Replica.started:
                replica.process.kill()
                replica.process.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
