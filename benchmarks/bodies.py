"""Bodies of 602 kB, an image of ImageNet in float32, to a graph that costs next to nothing."""

import sys
import tempfile
from pathlib import Path

from benchmarks.asking import TIMEOUT_S
from benchmarks.graphs import write_brightness
from benchmarks.result import parser, shown, write
from benchmarks.server import serving
from benchmarks.wrk import WrkResult, drive
from serving.bench.figures import interval
from serving.bench.request import random_bodies, read_metadata

MODEL = "brightness"


def main() -> int:
    """Measure and write."""
    cli = parser("bodies", __doc__)
    cli.add_argument("--connections", default="1,16,64")
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--seconds", type=int, default=3, help="of each round")
    given = cli.parse_args()
    connections = [int(each) for each in given.connections.split(",")]
    results: dict[int, list[tuple[WrkResult, float]]] = {number: [] for number in connections}
    with tempfile.TemporaryDirectory() as scratch:
        write_brightness(Path(scratch), MODEL)
        with serving(Path(scratch)) as server:
            body = random_bodies(read_metadata(server.url, MODEL, TIMEOUT_S), 1, {}, binary=True)[0]
            for _ in range(given.rounds):
                for number in connections:
                    before = server.cpu_s()
                    load = drive(server, f"/v2/models/{MODEL}/infer", body, number, given.seconds)
                    cpu_ms = 1e3 * (server.cpu_s() - before) / (load.rate * given.seconds)
                    results[number].append((load, cpu_ms))
    rows = [
        (
            f"{number} connections",
            shown(interval([load.rate for load, _ in found]), "{:.0f}"),
            shown(interval([load.rate * len(body.data) / 1e6 for load, _ in found]), "{:.0f}"),
            shown(interval([cpu_ms for _, cpu_ms in found]), "{:.2f}"),
            f"{interval([load.p50_ms for load, _ in found]).median:.1f}",
            f"{interval([load.p99_ms for load, _ in found]).median:.1f}",
        )
        for number, found in results.items()
    ]
    head = ("load", "requests/s", "MB/s", "processor ms a request", "p50 ms", "p99 ms")
    return write(given.out, head, rows, [])


if __name__ == "__main__":
    sys.exit(main())
