"""Two workers look like one server: their counts, their models, their readiness, their start and their end.

Every server here is real: a supervisor and its processes, as `baton serve --workers 2` starts them.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto, helper
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from inference.runtime.machine import available_cpus
from inference.runtime.providers import CPU
from serving.listening import listen
from tests.bundles import graph_bytes, sum_graph, write_bare, write_brightness
from tests.deploy.conftest import Server, answers, free_port, serving, until
from tests.deploy.tools import ROOT, missing, need, run
from tests.devices import PROVIDER, without_cuda
from tests.serving.http.test_tls import Authority, trusting
from tests.serving.servers import ADMIN

pytestmark = pytest.mark.slow

CLIENTS = 8
QUEUE_ROWS = 1000
SUM = "/v2/models/sum/infer"
ROW = {"inputs": [{"name": n, "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]} for n in "xy"]}
TOKEN = {"authorization": f"Bearer {ADMIN}"}


@pytest.fixture(scope="module", autouse=True)
def two_cpus() -> None:
    if available_cpus() < 2:
        missing("two workers need two CPUs")


def _write_models(root: Path) -> Path:
    models = root / "models"
    write_bare(models, "sum", sum_graph())
    write_bare(models, "other", sum_graph())
    return models


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers that look at their folder often, for the tests that leave them as they are."""
    root = tmp_path_factory.mktemp("workers")
    with serving(
        _write_models(root), root / "log", workers=2, poll_s=0.2, admin_token=ADMIN, max_queue_rows=QUEUE_ROWS
    ) as running:
        yield running


@contextmanager
def _clients(server: Server) -> Iterator[list[httpx.Client]]:
    """Each on a connection of its own, so that both workers are asked."""
    with ExitStack() as stack:
        yield [stack.enter_context(httpx.Client(base_url=server.url, timeout=30)) for _ in range(CLIENTS)]


@pytest.fixture
def clients(server: Server) -> Iterator[list[httpx.Client]]:
    with _clients(server) as made:
        yield made


def _value(client: httpx.Client, series: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(f"{series} "):
            return float(line.split()[-1])
    raise AssertionError(f"no {series}")


def _workers(client: httpx.Client) -> list[dict[str, Any]]:
    workers: list[dict[str, Any]] = client.get("/v2/diagnostics").json()["workers"]
    return workers


def _model(told: dict[str, Any], name: str = "sum") -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = (model for model in told["models"] if model["name"] == name)
    return found


def _shares(client: httpx.Client) -> list[int]:
    return [_model(worker)["answered"] for worker in _workers(client)]


SUCCESS = 'baton_requests_total{model="sum",outcome="success",version="1"}'
INVALID = 'baton_requests_total{model="sum",outcome="invalid",version="1"}'


# Counting


@dataclass(frozen=True)
class Counts:
    """The counts of the model `sum` in all workers, from one of them."""

    success: float
    invalid: float
    triton: float
    observed: float
    inferences: int
    failures: int
    batches: int
    answered: int

    @classmethod
    def of(cls, client: httpx.Client) -> "Counts":
        (statistics,) = client.get("/v2/models/sum/stats").json()["model_stats"]
        return cls(
            success=_value(client, SUCCESS),
            invalid=_value(client, INVALID),
            triton=_value(client, 'nv_inference_request_success{model="sum",version="1"}'),
            observed=_value(client, 'baton_request_seconds_count{model="sum",version="1"}'),
            inferences=statistics["inference_count"],
            failures=statistics["inference_stats"]["fail"]["count"],
            batches=sum(each["compute_infer"]["count"] for each in statistics["batch_stats"]),
            answered=_model(client.get("/v2/diagnostics").json())["answered"],
        )

    def plus(self, answered: int, failed: int) -> "Counts":
        return Counts(
            self.success + answered, self.invalid + failed,
            self.triton + answered, self.observed + answered, self.inferences + answered,
            self.failures, self.batches + answered, self.answered + answered,
        )  # fmt: skip


def test_counters_agree_with_the_requests_whichever_worker_is_asked(clients: list[httpx.Client]) -> None:
    before = Counts.of(clients[0])
    shares_before = _shares(clients[0])
    for place, client in enumerate(clients):
        for _ in range(place + 1):
            assert client.post(SUM, json=ROW).status_code == 200
        assert client.post(SUM, content=b"{").status_code == 400
    sent = CLIENTS * (CLIENTS + 1) // 2
    for client in clients:
        assert Counts.of(client) == before.plus(sent, CLIENTS)
    shares = [now - then for now, then in zip(_shares(clients[0]), shares_before, strict=True)]
    assert sum(shares) == sent
    assert all(shares)


def test_connections_are_divided_evenly(clients: list[httpx.Client]) -> None:
    for client in clients:
        assert client.get("/v2/health/live").status_code == 200
    workers = [client.get("/v2/diagnostics").json()["worker"] for client in clients]
    assert workers.count(1) == workers.count(2)


@pytest.mark.skipif(PROVIDER != CPU, reason="a GPU's runs do not depend on the CPUs")
def test_cpus_and_queue_are_divided_among_the_workers(server: Server, clients: list[httpx.Client]) -> None:
    write_bare(server.models, "wide", _wide_graph())
    until(lambda: _served_by_all(clients, "wide"), "the wide graph")
    for client in clients:
        told = client.get("/v2/models/wide/profile").json()
        points = told["profile"]["points"]
        assert max(point["threads"] * point["runs"] for point in points) == available_cpus() // 2
        assert told["plan"]["max_pending_rows"] == QUEUE_ROWS / 2


def test_one_worker_measures_for_all(server: Server, clients: list[httpx.Client]) -> None:
    write_bare(server.models, "measured", _wide_graph())
    until(lambda: _served_by_all(clients, "measured"), "the graph")
    profiles = [client.get("/v2/models/measured/profile").json()["profile"] for client in clients]
    assert profiles.count(profiles[0]) == len(profiles)


def _served_by_all(clients: list[httpx.Client], model: str) -> bool:
    return all(client.get(f"/v2/models/{model}/ready").status_code == 200 for client in clients)


def _wide_graph() -> bytes:
    """float32 [batch, 256] through 60 products: too long a run for the event loop, so that threads matter."""
    names = ["x", *(f"h{place}" for place in range(59)), "y"]
    nodes = [helper.make_node("MatMul", [one, "w"], [other]) for one, other in pairwise(names)]
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 256]) for name in ("x", "y")]
    return graph_bytes(nodes, infos[:1], infos[1:], {"w": np.eye(256, dtype=np.float32)})


def test_merged_metrics_are_well_formed(clients: list[httpx.Client]) -> None:
    assert clients[0].post(SUM, json=ROW).status_code == 200
    text = clients[1].get("/metrics").text
    lines = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))
    assert {family.name for family in parse_text(text)} >= {
        "baton_requests",
        "baton_workers",
        "process_cpu_seconds",
    }
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    assert list(parse_openmetrics(clients[0].get("/metrics", headers=accept).text))  # type: ignore[no-untyped-call]


def test_prometheus_finds_no_error_in_merged_metrics(clients: list[httpx.Client]) -> None:
    promtool = need("promtool")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=clients[0].get("/metrics").content,
        capture_output=True,
        check=False,
    )
    assert checked.returncode in (0, 3), checked.stderr  # 3: it would have named something otherwise


def test_workers_speak_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, port = authority.issue("server"), str(free_port())
    command = [sys.executable, str(ROOT / "baton.py"), "serve", "--models", str(_write_models(tmp_path)),
               "--port", port, "--workers", "2", "--tls-cert", str(pair.cert), "--tls-key", str(pair.key)]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT)

    def ready(client: httpx.Client) -> bool:
        with suppress(httpx.TransportError):
            return client.get("/v2/health/ready").status_code == 200
        return False

    try:
        with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting(authority)) as client:
            until(lambda: ready(client), "a ready server")
            assert client.post(SUM, json=ROW).status_code == 200
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()


# One view of the models


def test_load_and_unload_act_on_every_worker(clients: list[httpx.Client]) -> None:
    assert clients[0].post("/v2/repository/models/other/unload", headers=TOKEN).status_code == 200
    assert {client.post("/v2/models/other/infer", json=ROW).status_code for client in clients} == {503}
    assert {_states(client)["other"] for client in clients} == {"UNAVAILABLE"}
    assert clients[1].post("/v2/repository/models/other/load", headers=TOKEN).status_code == 200
    assert {client.post("/v2/models/other/infer", json=ROW).status_code for client in clients} == {200}
    unknown = clients[0].post("/v2/repository/models/nobody/load", headers=TOKEN)
    assert unknown.status_code == 404
    assert "'nobody' is not found" in unknown.json()["error"]


def test_a_model_that_no_worker_can_load_is_refused_as_by_one_process(
    server: Server, clients: list[httpx.Client]
) -> None:
    folder = write_bare(server.models, "bad", b"not a graph")
    refused = clients[0].post("/v2/repository/models/bad/load", headers=TOKEN)
    assert refused.status_code == 503
    assert refused.json()["error"].startswith("model 'bad' is not ready: ")
    assert " of 2:" not in refused.json()["error"]
    assert {client.get("/v2/health/ready").status_code for client in clients} == {200}  # it never served
    shutil.rmtree(folder.parent)
    until(lambda: not any("bad" in _states(client) for client in clients), "no bad model")


def test_a_new_version_is_served_by_every_worker(server: Server, clients: list[httpx.Client]) -> None:
    write_brightness(server.models)
    path = "/v1/models/brightness"
    until(
        lambda: {client.get(path).json().get("version") for client in clients} == {1}, "version 1 everywhere"
    )
    write_brightness(server.models, version=2)
    until(
        lambda: {client.get(path).json().get("version") for client in clients} == {2}, "version 2 everywhere"
    )


def _states(client: httpx.Client) -> dict[str, str]:
    return {entry["name"]: entry["state"] for entry in client.post("/v2/repository/index").json()}


# Coming and going


def test_a_killed_worker_is_replaced_and_its_counts_stay(tmp_path: Path) -> None:
    with (
        serving(_write_models(tmp_path), tmp_path / "log", workers=2, admin_token=ADMIN) as server,
        _clients(server) as clients,
        httpx.Client(base_url=server.url, timeout=30) as newcomer,
    ):
        assert clients[0].post("/v2/repository/models/other/unload", headers=TOKEN).status_code == 200
        for client in clients:
            assert client.post(SUM, json=ROW).status_code == 200
        before = _workers(clients[0])
        assert _value(clients[0], SUCCESS) == CLIENTS
        cpu_s = _value(clients[0], "process_cpu_seconds_total")
        os.kill(before[1]["pid"], signal.SIGKILL)
        until(lambda: _value(newcomer, "baton_workers_up") == 1, "the metrics to notice")
        assert newcomer.get("/v2/health/ready").status_code == 200
        assert newcomer.post(SUM, json=ROW).status_code == 200
        until(lambda: _value(newcomer, "baton_workers_up") == 2, "another worker")
        assert _value(newcomer, SUCCESS) == CLIENTS + 1
        assert _value(newcomer, "process_cpu_seconds_total") >= cpu_s
        assert _value(newcomer, "baton_worker_restarts_total") == 1
        assert newcomer.get("/v2/models/sum/stats").json()["model_stats"][0]["inference_count"] == CLIENTS + 1
        after = _workers(newcomer)
        with _clients(server) as others:
            for other in others:
                assert other.post(SUM, json=ROW).status_code == 200
        os.kill(after[0]["pid"], signal.SIGTERM)
        until(lambda: _restarts(server) == 2, "the worker that was told to leave to be replaced")
        with httpx.Client(base_url=server.url, timeout=30) as last:
            # It told its last counts, which nobody had asked for since they were counted.
            assert _value(last, SUCCESS) == CLIENTS + 1 + CLIENTS
    assert after[0]["pid"] == before[0]["pid"]
    assert after[1]["pid"] != before[1]["pid"]
    # A model that was unloaded before stays so in the new worker.
    assert [[model["name"] for model in worker["models"]] for worker in after] == [["sum"], ["sum"]]
    assert "worker 2 was ended by SIGKILL, another is started in" in (tmp_path / "log").read_text()


def _restarts(server: Server) -> float:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        return _value(client, "baton_worker_restarts_total")


def test_draining_is_seen_by_all_and_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    with serving(_write_models(tmp_path), tmp_path / "log", workers=2, drain_delay_s=600) as server:
        server.process.terminate()
        until(lambda: not answers(f"{server.url}/v2/health/ready"), "readiness to turn")
        with ExitStack() as stack:
            clients = [stack.enter_context(httpx.Client(base_url=server.url)) for _ in range(CLIENTS)]
            until(
                lambda: {client.get("/v2/health/ready").status_code for client in clients} == {503},
                "draining",
            )
            assert {client.get("/v2/health/live").status_code for client in clients} == {200}
            assert {client.post(SUM, json=ROW).status_code for client in clients} == {200}
            assert _value(clients[0], "baton_draining") == 1
            pids = [worker["pid"] for worker in _workers(clients[0])]
        server.process.terminate()
        assert server.process.wait(30) == 128 + signal.SIGTERM
        until(lambda: not any(map(_runs, pids)), "the workers' end")


def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    with serving(_write_models(tmp_path), tmp_path / "log", workers=2) as server:
        pids = [worker["pid"] for worker in httpx.get(f"{server.url}/v2/diagnostics").json()["workers"]]
        server.process.kill()
        until(lambda: not any(map(_runs, pids)), "the workers' end")


def _runs(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--models", "nowhere"), "--models: got 'nowhere', expected a folder of models"),
        pytest.param(("--device", "cuda"), "device: got 'cuda'", marks=without_cuda),
        (("--workers", str(available_cpus() + 1)), "each takes a CPU of its own"),
    ],
    ids=["no-folder", "no-cuda", "too-many"],
)
def test_a_start_that_fails_in_a_worker_fails_as_a_whole_and_says_why_once(
    tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    command = [sys.executable, str(ROOT / "baton.py"), "serve", "--models", str(tmp_path), "--port", "0"]
    done = subprocess.run(
        [*command, "--workers", "2", "--log-level", "error", *flags],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("baton serve: ")
    assert done.stderr.count(said) == 1


def test_a_port_that_is_taken_fails_the_start(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        command = [
            sys.executable,
            str(ROOT / "baton.py"),
            "serve",
            "--models",
            str(tmp_path),
            "--workers",
            "2",
        ]
        done = subprocess.run(
            [*command, "--port", port], capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 2
    assert f"--port {port}" in done.stderr


def test_the_supervisor_loads_no_runtime_and_no_framework() -> None:
    heavy = ("onnxruntime", "numpy", "fastapi", "uvicorn", "prometheus_client")
    script = f"import serving.workers.supervisor, sys; print([m for m in {heavy!r} if m in sys.modules])"
    assert run(sys.executable, "-c", script).strip() == "[]"
