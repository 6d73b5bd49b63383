"""The cost of a start: processor and wall seconds to the first right answer, and the memory then."""

import json
import os
import sys
from pathlib import Path

from benchmarks.asking import TIMEOUT_S
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import serving
from inference.proving.golden import Golden, payload_of
from inference.store.bundle import Bundle
from inference.store.repository import ModelRepository
from serving.bench.figures import interval
from serving.bench.request import fetch
from serving.bench.values import BenchError

MOST_CPU_S, MOST_MIB = 2.0, 200


def main() -> int:
    """Measure, write, and say whether the promises hold."""
    cli = parser("startup", __doc__)
    cli.add_argument("--models", type=Path, default=Path("models"), help="the folder that is served")
    cli.add_argument("--rounds", type=int, default=5)
    given = cli.parse_args()
    questions = _questions(given.models)
    cpu: list[float] = []
    wall: list[float] = []
    rss: list[float] = []
    # Starts count from the second on, as on a machine where it has run before: then Python's modules are compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with serving(given.models):
        pass
    for _ in range(given.rounds):
        with serving(given.models, measured=False) as server:
            for path, body, media_type in questions:
                headers = {"Content-Type": media_type}
                status, answer = fetch(server.url, "POST", path, body, TIMEOUT_S, headers)
                if status != 200:
                    raise BenchError(f"{path}: {status}: {answer!r}")
            cpu.append(server.cpu_s())
            wall.append(server.seconds)
            rss.append(server.rss_mib())
    rows = [
        ("processor seconds to the first answers", shown(interval(cpu))),
        ("wall seconds to ready", shown(interval(wall))),
        ("RSS MiB after the first answers", shown(interval(rss), "{:.0f}")),
    ]
    seconds, memory = interval(cpu).median, interval(rss).median
    claims = [
        Claim(text="processor seconds", expected=f"under {MOST_CPU_S:g}", actual=f"{seconds:.2f}",
              kept=seconds < MOST_CPU_S),
        Claim(text="RSS MiB", expected=f"under {MOST_MIB}", actual=f"{memory:.0f}", kept=memory < MOST_MIB),
    ]  # fmt: skip
    return write(given.out, (f"{len(questions)} models", "median of starts"), rows, claims)


def _questions(models: Path) -> list[tuple[str, bytes, str]]:
    """One golden example a model; its answers are proved by the server itself before it is ready."""
    repository = ModelRepository(models)
    asked: list[tuple[str, bytes, str]] = []
    for name in repository.names():
        bundle = Bundle.open(repository.path(name, repository.versions(name)[-1]))
        if bundle.derived:
            raise BenchError(f"{bundle.path} is a bare graph: expected a bundle with golden examples")
        payload = payload_of(bundle, Golden.read(bundle).examples[0])
        media_type, body = payload.media_type, payload.data
        if media_type is None:  # a JSON value: an instance
            media_type, body = "application/json", json.dumps({"instances": [body]})
        content = body.encode() if isinstance(body, str) else body
        asked.append((f"/v1/models/{name}:predict", content, media_type))
    return asked


if __name__ == "__main__":
    sys.exit(main())
