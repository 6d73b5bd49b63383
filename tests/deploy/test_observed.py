"""A real Prometheus scrapes real servers under load, with the rules and dashboards as they are deployed.

Every expression gives data, the counters agree with the clients, and the alerts fire when the thing
happens. Only `for` and the scrape interval are shortened; no expression is changed.
"""

import json
import re
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper

from tests.bundles import graph_bytes, png, write_bare, write_watched
from tests.deploy.conftest import Server, answers, free_port, serving, until
from tests.deploy.tools import BOARDS, RULES, need, rules
from training.fit.run_metrics import make_server

pytestmark = pytest.mark.slow

REQUESTS = 300
WIDTH = 256
CLIENT = httpx.Client(timeout=30)  # one for all: each makes a TLS context, which takes 50 ms


def slow_graph() -> bytes:
    """float32 [batch, 256] through 200 products: about ten milliseconds a row, so that a queue can form."""
    names = ["x", *(f"h{place}" for place in range(199)), "y"]
    nodes = [helper.make_node("MatMul", [one, "w"], [other]) for one, other in pairwise(names)]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH]) for name in ("x", "y")]
    weights = {"w": (np.eye(WIDTH) * 0.5).astype(np.float32)}
    return graph_bytes(nodes, infos[:1], infos[1:], weights)


def fragile_graph() -> bytes:
    """int64 [batch, 1] → row of a table of four; a larger index fails in the run."""
    nodes = [helper.make_node("Gather", ["table", "row"], ["value"])]
    row = helper.make_tensor_value_info("row", TensorProto.INT64, ["batch", 1])
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 1])
    return graph_bytes(nodes, [row], [value], {"table": np.arange(4, dtype=np.float32)})


def score_bundle(folder: Path) -> None:
    """Give a bundle figures, as training does."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["graphs"]["fp32"]["evaluation"] = {"split": "test", "rows": 4, "metrics": {"accuracy": 1.0}}
    file.write_text(json.dumps(manifest))


class Prometheus:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = CLIENT.post(f"{self.url}/api/v1/query", data={"query": expression}).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        (sample,) = self.query(expression)
        return float(sample["value"][1])

    def firing(self) -> set[tuple[str, str]]:
        """Name and model (or instance) of each alert that fires."""
        alerts = httpx.get(f"{self.url}/api/v1/alerts", timeout=30).json()["data"]["alerts"]
        return {
            (alert["labels"]["alertname"], alert["labels"].get("model", alert["labels"].get("instance", "")))
            for alert in alerts
            if alert["state"] == "firing"
        }


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    root = tmp_path_factory.mktemp("observed")
    models = root / "models"
    models.mkdir()
    score_bundle(write_watched(models))
    write_bare(models, "slow", slow_graph())
    write_bare(models, "fragile", fragile_graph())
    settings = {
        "poll_s": 0.5,
        "max_queue_rows": 2,
        "drain_delay_s": 3,
        "shutdown_timeout_s": 20,
        "drift_window_rows": REQUESTS // 2,
    }
    with (
        serving(models, root / "a.log", **settings) as one,
        serving(models, root / "b.log", **settings) as other,
    ):
        yield one, other


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The runs' exporter, over a run that has just begun and one that is over."""
    folder = tmp_path_factory.mktemp("runs")
    for name, finished in (("begun", False), ("over", True)):
        log = folder / name / "logs/csv/version_0/metrics.csv"
        log.parent.mkdir(parents=True)
        log.write_text("epoch,step,train/loss,val/accuracy\n0,19,0.5,0.8\n")
        (folder / name / "config.json").write_text('{"task": "vision", "data": "digits", "arch": "mlp"}')
        if finished:
            (folder / name / "published.json").write_text("{}")
    exporter = make_server(folder, "127.0.0.1", 0)
    threading.Thread(target=exporter.serve_forever).start()
    yield f"127.0.0.1:{exporter.server_port}"
    exporter.shutdown()
    exporter.server_close()


@pytest.fixture(scope="module")
def prometheus(
    replicas: tuple[Server, Server], runs: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    program = need("prometheus")
    root = tmp_path_factory.mktemp("prometheus")
    for file in RULES:
        content = re.sub(r"\bfor: \w+", "for: 1s", file.read_text())
        (root / file.name).write_text(content)
    jobs = {"baton": [each.address for each in replicas], "baton-training": [runs]}
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(root / file.name) for file in RULES],
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": targets}]} for name, targets in jobs.items()
        ],
    }
    (root / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = [
        program,
        f"--config.file={root / 'prometheus.yml'}",
        f"--storage.tsdb.path={root / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--enable-feature=exemplar-storage",
        "--log.level=warn",
    ]
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        until(lambda: process.poll() is not None or answers(f"{url}/-/ready"), "Prometheus")
        assert process.poll() is None, (root / "log").read_text()
        found = Prometheus(url)
        until(lambda: len(found.query("up == 1")) == 3, "three targets that are up")
        yield found
    finally:
        process.terminate()
        process.wait()


def infer(server: Server, model: str, name: str, datatype: str, row: list[float], **headers: str) -> int:
    tensor = {"name": name, "shape": [1, len(row)], "datatype": datatype, "data": row}
    url = f"{server.url}/v2/models/{model}/infer"
    return CLIENT.post(url, json={"inputs": [tensor]}, headers=headers).status_code


def predict(server: Server, level: int) -> int:
    url = f"{server.url}/v1/models/brightness:predict"
    return CLIENT.post(url, content=png(level), headers={"content-type": "image/png"}).status_code


def repeat(call: Callable[[int], int], times: int, at_once: int) -> Counter[int]:
    """How often each status was answered."""
    with ThreadPoolExecutor(at_once) as clients:
        return Counter(clients.map(call, range(times)))


@pytest.fixture(scope="module")
def seen(replicas: tuple[Server, Server], prometheus: Prometheus) -> dict[str, Counter[int]]:
    """Statuses by model, of load that takes every path: answered, at fault, turned away, too late, failed."""
    one, other = replicas
    row = [0.5] * WIDTH

    def pick(place: int) -> Server:
        return replicas[place % 2]

    found = {
        "brightness": repeat(lambda place: predict(pick(place), place % 256), REQUESTS, 2)
        + repeat(lambda place: infer(pick(place), "brightness", "nothing", "FP32", [1.0]), 10, 1),
        "slow": repeat(lambda _: infer(one, "slow", "x", "FP32", row), 60, 12)
        + repeat(lambda _: infer(other, "slow", "x", "FP32", row, **{"x-request-timeout-ms": "0.001"}), 5, 1),
        "fragile": repeat(lambda place: infer(pick(place), "fragile", "row", "INT64", [place % 8]), 40, 1),
    }
    # A rate needs two samples, and a recorded rule one evaluation more.
    time.sleep(4)
    return found


def counted(prometheus: Prometheus, model: str) -> dict[str, float]:
    samples = prometheus.query(f'sum by (outcome) (baton_requests_total{{model="{model}"}})')
    return {
        sample["metric"]["outcome"]: float(sample["value"][1])
        for sample in samples
        if sample["value"][1] != "0"
    }


def test_the_counters_of_two_replicas_agree_with_the_clients(
    prometheus: Prometheus, seen: dict[str, Counter[int]]
) -> None:
    assert seen["brightness"][200] == REQUESTS
    assert counted(prometheus, "brightness") == {"success": REQUESTS, "invalid": 10}
    slow = seen["slow"]
    assert slow[200] > 0
    assert slow[429] > 0
    assert counted(prometheus, "slow") == {"success": slow[200], "rejected": slow[429], "deadline": slow[504]}
    assert (
        counted(prometheus, "fragile")
        == {"success": 20, "failed": seen["fragile"][500]}
        == {"success": 20, "failed": 20}
    )
    assert prometheus.value("sum(baton_predictions_total)") == REQUESTS
    assert prometheus.value("sum(nv_inference_request_success)") == REQUESTS + slow[200] + 20


@pytest.mark.usefixtures("seen")
def test_every_expression_of_the_rules_gives_data(prometheus: Prometheus) -> None:
    """An alert that does not fire gives none, as it should: then what it compares must."""
    for rule in rules():
        expression = rule["expr"]
        if "alert" in rule:
            if any(word in expression for word in ("cgroup", "worker", "absent")):
                continue  # no limits here, perhaps, and one process; `absent` of what is there is nothing
            expression = re.split(r"\s(?:>|==)\s", expression)[0]
            expression = (
                re.sub(r"^\(", "", expression)
                if expression.count("(") > expression.count(")")
                else expression
            )
        assert prometheus.query(expression), expression


def expanded(prometheus: Prometheus, board: dict[str, Any]) -> Callable[[str], str]:
    """Grafana's variables as it would fill them in: each by all its values."""
    values = {"__rate_interval": "1m"}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"])
            assert query
            match, label = query.groups()
            url = f"{prometheus.url}/api/v1/label/{label}/values"
            found = httpx.get(url, params={"match[]": match}).json()["data"]
            assert found, f"{variable['name']} has no values"
            values[variable["name"]] = "|".join(re.escape(value).replace("\\", "\\\\") for value in found)
    return lambda expression: re.sub(r"\$(\w+)", lambda name: values[name.group(1)], expression)


@pytest.mark.usefixtures("seen")
@pytest.mark.parametrize("file", BOARDS, ids=[file.stem for file in BOARDS])
def test_every_expression_of_the_dashboards_gives_data(prometheus: Prometheus, file: Path) -> None:
    board = json.loads(file.read_text())
    expand = expanded(prometheus, board)
    empty = []
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            found = prometheus.query(expand(target["expr"]))
            if not found and "may be empty" not in panel.get("description", ""):
                empty.append((panel["title"], target["expr"]))
    assert not empty


@pytest.mark.usefixtures("seen")
def test_inputs_unlike_those_of_the_reference_fire(prometheus: Prometheus) -> None:
    """The pictures were of every level alike; the reference's are dark."""
    until(lambda: ("BatonDrift", "brightness") in prometheus.firing(), "the drift to be told", 30)
    moved = prometheus.query('max by (feature) (baton_drift_alarm{model="brightness"} == 1)')
    assert {"brightness", "label"} <= {sample["metric"]["feature"] for sample in moved}


@pytest.mark.usefixtures("seen")
def test_a_full_queue_a_burst_of_errors_and_a_refused_model_fire(
    prometheus: Prometheus, replicas: tuple[Server, Server]
) -> None:
    expected = {
        ("BatonTurningAway", "slow"),
        ("BatonErrorsBurnFast", "slow"),
        ("BatonErrorsBurnFast", "fragile"),
    }
    until(lambda: expected <= prometheus.firing(), f"{expected} to fire", 30)
    assert ("BatonErrorsBurnFast", "brightness") not in prometheus.firing(), (
        "a client's mistakes are not ours"
    )

    bad = replicas[0].models / "fragile/2"
    bad.mkdir()
    (bad / "model.onnx").write_bytes(b"no graph")
    until(lambda: ("BatonModelRefused", "fragile") in prometheus.firing(), "the refusal to be told", 30)
    assert infer(replicas[0], "fragile", "row", "INT64", [1]) == 200, "the version before it goes on"
    (bad / "model.onnx").unlink()
    bad.rmdir()
    until(lambda: ("BatonModelRefused", "fragile") not in prometheus.firing(), "the alert to go", 30)


@pytest.mark.usefixtures("seen")
def test_a_drain_that_does_not_end_fires(prometheus: Prometheus, replicas: tuple[Server, Server]) -> None:
    server = replicas[1]
    host, port = server.address.split(":")
    enough = threading.Event()
    with socket.create_connection((host, int(port))) as stuck:
        head = b"POST /v1/models/brightness:predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
        stuck.sendall(head + b"Content-Length: 50000000\r\n\r\nhalf of it")

        def send_on() -> None:
            """At 40 kB a second the server waits for the rest: it gives up on a body that stalls while it stops."""
            with suppress(OSError):
                while not enough.wait(0.1):
                    stuck.sendall(bytes(4096))

        sending = threading.Thread(target=send_on)
        sending.start()
        time.sleep(0.5)
        server.process.terminate()
        until(lambda: not answers(f"{server.url}/v2/health/ready"), "readiness to turn false")
        assert answers(f"{server.url}/v2/health/live")
        until(
            lambda: prometheus.value(f'baton_draining{{instance="{server.address}"}}') == 1,
            "the drain to be seen",
        )
        until(lambda: ("BatonDrainStuck", server.address) in prometheus.firing(), "the alert", 30)
        assert server.process.poll() is None, "it waits for the request under way"
        enough.set()
        sending.join()
    server.process.wait(30)
    assert server.process.returncode == 0
