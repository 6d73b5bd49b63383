"""A smoke test of the operator's steps: up, load, canary, promote, refuse, roll back, scale, drain.

    python scripts/smoke_test.py [--models models] [--model fashion]

Each step does an operator's work, shows the metric that proves it, and fails if the metric does not. The models
are a copy, the servers listen on free ports, and all of it is removed at the end.
"""

import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

ROOT = Path(__file__).resolve().parent.parent
REFUSED = "refused"
"""No server listened: the request was never sent, and a client may safely ask another."""


class Failure(Exception):
    """A metric was not as the step expected."""


class Replica:
    """`baton serve` in a process of its own."""

    started: ClassVar[list["Replica"]] = []

    def __init__(self, name: str, models: Path, logs: Path) -> None:
        self.name, self.models, self.port = name, models, free_port()
        settings = {"BATON_POLL_S": "0.5", "BATON_DRAIN_DELAY_S": "2", "BATON_PORT": str(self.port)}
        command = [sys.executable, str(ROOT / "baton.py"), "serve", "--models", str(models)]
        with (logs / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **settings}, stdout=log, stderr=log
            )
        self.started.append(self)
        wait(lambda: self.status("/v2/health/ready") == 200, f"{name} to be ready")

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def status(self, path: str) -> int:
        """The status of a GET; 0 where no server answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except OSError:
            return 0

    def metric(self, series: str) -> float:
        """The sum of the samples that match `name{label="value"}`; labels that are not named may be anything."""
        name, _, labels = series.rstrip("}").partition("{")
        expected = set(re.findall(r'\w+="[^"]*"', labels))
        with urllib.request.urlopen(f"http://{self.address}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = [re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line) for line in lines if line.startswith(name)]
        return sum(
            float(match[3])
            for match in found
            if match and match[1] == name and expected <= set(re.findall(r'\w+="[^"]*"', match[2] or ""))
        )

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.process.terminate()
        return self.process.wait(60)


class Clients:
    """`at_once` clients, each with one request at a time on connections that stay open.

    `pick` chooses the server of a request by its number. A new connection that is refused was never a request, and
    one that breaks under a request loses it. `ended` counts statuses, `REFUSED`, and the errors of lost requests.
    """

    def __init__(
        self, path: str, body: bytes, media_type: str, pick: Callable[[int], str], at_once: int = 4
    ) -> None:
        """`pick` gives an address: `127.0.0.1:8000`."""
        self.ended: Counter[int | str] = Counter()
        self._path, self._body, self._headers, self._pick = path, body, {"content-type": media_type}, pick
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(at_once)]

    @contextlib.contextmanager
    def asking(self) -> Iterator["Clients"]:
        """They send requests while the block runs."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()

    @property
    def lost(self) -> list[str]:
        """Errors of requests that were sent and not answered."""
        return [kind for kind in self.ended if isinstance(kind, str) and kind != REFUSED]

    def _ask(self, number: int) -> None:
        connections: dict[str, http.client.HTTPConnection] = {}
        while not self._stop.is_set():
            address, number = self._pick(number), number + 1
            connection = connections.setdefault(address, http.client.HTTPConnection(address, timeout=30))
            try:
                connection.connect() if connection.sock is None else None
            except OSError:
                self.ended[REFUSED] += 1
                self._stop.wait(0.02)
                continue
            try:
                connection.request("POST", self._path, self._body, self._headers)
                answer = connection.getresponse()
                answer.read()
                self.ended[answer.status] += 1
            except (OSError, http.client.HTTPException) as error:
                self.ended[type(error).__name__] += 1
                connection.close()


def clients_of(model: str, body: bytes, pick: Callable[[int], Replica], at_once: int = 4) -> Clients:
    """Clients of a model with a JSON body; `pick` chooses the replica."""
    path = f"/v1/models/{model}:predict"
    return Clients(path, body, "application/json", lambda number: pick(number).address, at_once)


def smoke_test(models: Path, model: str, folder: Path) -> None:
    """Every step, in order."""
    ours = folder / "models"
    newest = max(
        (path for path in (models / model).iterdir() if path.name.isdigit()), key=lambda p: int(p.name)
    )
    publish(newest, ours / model / "1", 1)
    body = example(newest)

    step("up", "one replica, with version 1")
    first = Replica("first", ours, folder)
    show(first, "baton_ready", 1)
    show(first, f'baton_model_info{{model="{model}",version="1"}}', 1)

    step("load", "the counter is the number of requests that were sent")
    sent = load(model, body, lambda _: first)
    show(first, f'baton_requests_total{{model="{model}",outcome="success"}}', sent[200])

    step("canary", "version 2 in a replica of its own gets a request in ten")
    publish(newest, folder / "canary" / model / "2", 2)
    canary = Replica("canary", folder / "canary", folder)
    sent = load(model, body, lambda number: canary if number % 10 == 9 else first)
    share = canary.metric('baton_requests_total{version="2",outcome="success"}') / sent[200]
    say(f"version 2 answered {share:.0%} of {sent[200]}")
    show(canary, 'baton_requests_total{version="2",outcome="failed"}', 0)
    canary.stop()

    step("promote", "version 2 is published; it is proved beside version 1 and swapped under load")
    with clients_of(model, body, lambda _: first).asking() as clients:
        publish(newest, ours / model / "2", 2)
        wait(lambda: first.metric('baton_model_state{version="2",state="READY"}') == 1, "version 2")
    show(first, f'baton_model_info{{model="{model}",version="2"}}', 1)
    show(first, f'baton_model_info{{model="{model}",version="1"}}', 0)
    nothing_lost(clients.ended)

    step("refuse", "version 3 is damaged; it takes no traffic, and version 2 goes on")
    publish(newest, ours / model / "3", 3, damage=True)
    wait(lambda: first.metric('baton_model_refused{version="3"}') == 1, "the refusal")
    show(first, 'baton_model_refused{version="3"}', 1)
    show(first, f'baton_model_info{{model="{model}",version="2"}}', 1)
    nothing_lost(load(model, body, lambda _: first))

    step("roll back", "versions 2 and 3 are taken away under load; version 1 comes back")
    with clients_of(model, body, lambda _: first).asking() as clients:
        for version in ("2", "3"):
            (ours / model / version).rename(folder / f"taken-away-{version}")
        wait(lambda: first.metric(f'baton_model_info{{model="{model}",version="1"}}') == 1, "version 1")
    show(first, f'baton_model_info{{model="{model}",version="2"}}', 0)
    show(first, "baton_model_refused", 0)
    nothing_lost(clients.ended)

    step("scale", "a second replica takes half")
    second = Replica("second", ours, folder)
    counted = f'baton_requests_total{{model="{model}",version="1",outcome="success"}}'
    before = first.metric(counted)
    sent = load(model, body, lambda number: (first, second)[number % 2])
    shares = first.metric(counted) - before, second.metric(counted)
    both = sum(shares)
    say(f"first {shares[0]:.0f} + second {shares[1]:.0f} = {both:.0f}, of {sent[200]} sent")
    require(both == sent[200], "the counters of both to be what was sent")

    step("drain", "the first is told to stop under load; the second takes over")
    leaving = threading.Event()

    def stay(number: int) -> Replica:
        return (
            second
            if leaving.is_set() and first.status("/v2/health/ready") != 200
            else (first, second)[number % 2]
        )

    with clients_of(model, body, stay).asking() as clients:
        time.sleep(0.5)
        leaving.set()
        first.process.terminate()
        wait(lambda: first.status("/v2/health/ready") == 503, "readiness to turn false")
        say(f"ready {first.status('/v2/health/ready')}, live {first.status('/v2/health/live')}")
        show(first, "baton_draining", 1)
        require(first.process.wait(60) == 0, "exit status 0")
        time.sleep(0.5)
    nothing_lost(clients.ended)
    require(second.stop() == 0, "exit status 0")


def publish(source: Path, target: Path, version: int, *, damage: bool = False) -> None:
    """Copy a bundle as another version: everything first, the manifest last, as `baton train` does."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("manifest.json"))
    if damage:
        graph = target / "model.onnx"
        graph.write_bytes(graph.read_bytes()[:-100])
    manifest = json.loads((source / "manifest.json").read_text())
    (target / ".manifest").write_text(json.dumps({**manifest, "version": version}))
    (target / ".manifest").rename(target / "manifest.json")


def example(bundle: Path) -> bytes:
    """A request's body, from the first of the bundle's golden examples."""
    golden = json.loads((bundle / "golden.json").read_text())["examples"][0]
    data = (bundle / golden["file"]).read_bytes()
    if golden["media_type"].startswith("image/"):
        instance: object = {"b64": base64.b64encode(data).decode()}
    else:
        instance = json.loads(data) if golden["media_type"] == "application/json" else data.decode()
    return json.dumps({"instances": [instance]}).encode()


def load(model: str, body: bytes, pick: Callable[[int], Replica], seconds: float = 1.5) -> Counter[int | str]:
    """Some load; the statuses and errors, counted."""
    with clients_of(model, body, pick).asking() as clients:
        time.sleep(seconds)
    return clients.ended


def free_port() -> int:
    """One that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait(true: Callable[[], bool], expected: str, limit_s: float = 60.0) -> None:
    """Until it is so; `Failure` after `limit_s`."""
    end = time.monotonic() + limit_s
    while not true():
        require(time.monotonic() < end, expected)
        time.sleep(0.05)


def step(name: str, text: str) -> None:
    """Announce a step."""
    print(f"\n{name}: {text}", flush=True)


def say(text: str) -> None:
    """A result of the step."""
    print(f"    {text}", flush=True)


def show(replica: Replica, series: str, expected: float) -> None:
    """Print a metric; `Failure` if it has another value."""
    value = replica.metric(series)
    say(f"{replica.name}: {series} = {value:g}")
    require(value == expected, f"{series} to be {expected:g}")


def nothing_lost(ended: Counter[int | str]) -> None:
    """`Failure` unless every request that was sent was answered with 200."""
    lost = sum(count for kind, count in ended.items() if isinstance(kind, str) and kind != REFUSED)
    say(f"answered {ended[200]}, refused a connection {ended[REFUSED]}, lost {lost}")
    require(set(ended) <= {200, REFUSED}, f"nothing lost, got {dict(ended)}")


def require(true: bool, expected: str) -> None:
    """`Failure` unless it is so."""
    if not true:
        raise Failure(f"expected {expected}")


def main() -> int:
    """The exit status: 0 if every step passed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", type=Path, default=ROOT / "models", help="folder of models to copy from (default: models)"
    )
    parser.add_argument("--model", default="fashion", help="the model that is served (default: fashion)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            smoke_test(arguments.models, arguments.model, Path(folder))
        except Failure as failure:
            print(f"\nFAILED: {failure}")
            for log in sorted(Path(folder).glob("*.log")):
                print(f"--- {log.stem}\n{log.read_text()[-2000:]}")
            return 1
        finally:
            for replica in Replica.started:
                replica.process.kill()
                replica.process.wait()
    print("\nall steps done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
