"""What the server is besides its protocols: errors, metrics, documentation, settings, start and stop."""

import asyncio
import inspect
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from inference import errors
from inference.runtime.machine import available_cpus
from inference.runtime.session import Runs
from inference.values import Tensors
from serving.__main__ import main
from serving.engine.metrics import Distribution, classify
from serving.http.body import watch
from serving.settings import Settings, read_settings
from tests.bundles import sum_graph, write_bare, write_brightness
from tests.devices import PROVIDER, without_cuda
from tests.serving.servers import ADMIN, ThreadedServer, start

X = {"name": "x", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]}
SUM = {"inputs": [X, {**X, "name": "y"}]}


# Errors


def test_every_error_has_an_outcome() -> None:
    made = [
        errors.Overloaded("m", 1, 1), errors.ModelNotReady("m", "x"), errors.DeadlineExceeded("m", 1),
        errors.ClientDisconnected("x"), asyncio.CancelledError(), errors.InvalidInput("f", 1, "x"),
        errors.Unsupported("x"), errors.InferenceFailed("x"), ValueError("x"),
    ]  # fmt: skip
    assert [classify(error)[0] for error in made] == [
        "rejected", "rejected", "deadline", "cancelled", "cancelled", "invalid", "invalid", "failed", "failed",
    ]  # fmt: skip


# Metrics


TRITON_REASONS = ("REJECTED", "CANCELED", "BACKEND", "OTHER")


def scrape(http: httpx.Client) -> dict[str, list[Any]]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {family.name: family.samples for family in text_string_to_metric_families(answer.text)}


def value(samples: list[Any], **labels: str) -> float:
    (found,) = [sample.value for sample in samples if sample.labels == labels]
    return float(found)


OPEN = "application/openmetrics-text"
PROMETHEUS_3 = (
    f"{OPEN};version=1.0.0;escaping=allow-utf-8;q=0.6,{OPEN};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (OPEN, OPEN), (f'{OPEN}; version="1.0.0"', OPEN), (f"{OPEN}; version=1.0.0", OPEN), (PROMETHEUS_3, OPEN),
        (f"{OPEN.upper()};VERSION=1.0.0", OPEN), (f"text/plain;q=0.1, {OPEN}", OPEN), (f'{OPEN};charset="utf-8"', OPEN),
        (f"text/plain, {OPEN}", "text/plain"), (f"{OPEN};q=0", "text/plain"), (f"{OPEN}; version=99", "text/plain"),
        (f"{OPEN};q=0.1, text/plain", "text/plain"), (f"{OPEN}; version=0.0.1", "text/plain"),
        (f'{OPEN}; version="x.y', "text/plain"), (f"{OPEN}; version=", "text/plain"), ("", "text/plain"),
        ("*/*", "text/plain"), (";;;,=,q=q=q", "text/plain"), (f"{OPEN};q=\xff;version=1.0.0", OPEN),
        (f"{OPEN};version=1.0.0;escaping=nonsense", OPEN), ("text/html;q=9", "text/plain"), ("," * 5000, "text/plain"),
    ],
)  # fmt: skip
def test_whatever_a_scraper_accepts_it_gets_a_format_and_its_name(
    http: httpx.Client, accept: str, media_type: str
) -> None:
    answer = http.get("/metrics", headers=[(b"accept", accept.encode("latin-1"))])
    assert answer.status_code == 200
    version = "1.0.0" if media_type == OPEN else "0.0.4"
    assert answer.headers["content-type"] == f"{media_type}; version={version}; charset=utf-8"
    assert answer.text.endswith("# EOF\n") is (media_type == OPEN)


def test_metrics_parse_and_count(http: httpx.Client) -> None:
    one = {"model": "sum", "version": "1"}
    before = scrape(http)
    for _ in range(5):
        assert http.post("/v2/models/sum/infer", content=json.dumps(SUM)).status_code == 200
    assert http.post("/v2/models/sum/infer", content=b"{").status_code == 400
    after = scrape(http)

    def grown(name: str, **labels: str) -> float:
        return value(after[name], **one, **labels) - value(before[name], **one, **labels)

    assert grown("baton_requests", outcome="success") == 5
    assert grown("baton_requests", outcome="invalid") == 1
    assert grown("nv_inference_request_success") == 5
    assert grown("nv_inference_count") == 5
    assert all(grown("nv_inference_request_failure", reason=why) == 0 for why in TRITON_REASONS)
    assert grown("nv_inference_request_duration_us") > grown("nv_inference_compute_infer_duration_us") > 0
    assert value(after["baton_model_state"], **one, state="READY") == 1
    assert value(after["baton_in_flight"], **one) == 0
    for family in ("baton_request_seconds", "baton_batch_rows"):
        buckets = [
            s.value for s in after[family] if s.name.endswith("_bucket") and s.labels["model"] == "sum"
        ]
        assert buckets == sorted(buckets)
        count = next(
            s.value for s in after[family] if s.name.endswith("_count") and s.labels["model"] == "sum"
        )
        assert buckets[-1] == count
    stages = {sample.labels["stage"] for sample in after["baton_stage_seconds"]}
    assert stages == {"decode", "preprocess", "queue", "run", "postprocess", "encode"}
    (info,) = [s.labels for s in after["baton_model_info"] if s.labels["model"] == "brightness"]
    assert (info["task"], info["precision"], info["provider"]) == ("vision", "fp32", PROVIDER)
    assert "process_resident_memory_bytes" in after


def test_nothing_that_a_caller_sends_becomes_a_label(http: httpx.Client) -> None:
    def count() -> int:
        return sum(len(samples) for samples in scrape(http).values())

    before = count()
    for name in ("a", "b", "c"):
        http.post(f"/v2/models/{name}/infer", content=b"{}")
        http.get(f"/v2/{name}")
    assert count() == before


def test_bounds_of_buckets_are_inclusive() -> None:
    seen = Distribution((10, 20))
    for number in (0, 10, 11, 20, 21):
        seen.observe(number)
    assert seen.counts == [2, 2, 1]
    assert (seen.count, seen.total) == (5, 62)


# Documentation


def test_openapi_shows_every_route_with_an_example(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    operations = [
        (path, verb, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]
    assert ("/v2/models/{name}/infer", "post") in [(path, verb) for path, verb, _ in operations]
    assert ("/v1/models/{name}:predict", "post") in [(path, verb) for path, verb, _ in operations]
    assert ("/v1/models/{name}:explain", "post") in [(path, verb) for path, verb, _ in operations]
    empty = set()
    for path, verb, operation in operations:
        content = operation["responses"]["200"].get("content", {})
        if not content:
            empty.add((path, verb))
        assert all("example" in shown for shown in content.values()), (path, verb)
        for shown in operation.get("requestBody", {}).get("content", {}).values():
            assert "example" in shown, (path, verb)
    done = [f"repository/models/{{name}}/{verb}" for verb in ("load", "unload")]  # answered without a body
    for memory in ("systemsharedmemory", "cudasharedmemory"):
        region = f"{memory}/region/{{region}}"
        done += [f"{memory}/unregister", f"{region}/unregister", f"{region}/register"]
    assert empty == {(f"/v2/{path}", "post") for path in done}
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids))


def test_documentation_and_page_need_no_other_host(http: httpx.Client) -> None:
    page = http.get("/", headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    docs = http.get("/docs")
    for text in (page.text, docs.text):
        for quote in "\"'":
            assert f"src={quote}http" not in text
            assert f"href={quote}http" not in text
    assert http.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
    assert http.get("/docs/assets/swagger-ui.css").status_code == 200


def test_other_origins_are_not_let_in(http: httpx.Client) -> None:
    answer = http.get("/v2", headers={"Origin": "http://elsewhere"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_diagnostics_tell_what_is_in_force(http: httpx.Client) -> None:
    told = http.get("/v2/diagnostics").json()
    assert told["cpus"] >= 1
    (brightness,) = [model for model in told["models"] if model["name"] == "brightness"]
    assert brightness["provider"] == PROVIDER
    assert len(brightness["graph_sha256"]) == 64
    assert brightness["plan"]["max_pending_rows"] > 0


# The fast path


def test_the_router_answers_as_the_fast_path_does(http: httpx.Client) -> None:
    # A version with a leading zero is no path of the fast path, so the router answers it.
    fast = http.post("/v2/models/sum/versions/1/infer", content=json.dumps(SUM))
    slow = http.post("/v2/models/sum/versions/01/infer", content=json.dumps(SUM))
    assert (fast.status_code, fast.content) == (slow.status_code, slow.content)
    assert fast.headers.keys() == slow.headers.keys()


def test_uvicorn_still_tells_whether_the_caller_left() -> None:
    """`serving.http.body.watch` asks the cycle that `receive` belongs to; without it every request costs a task."""
    assert "disconnected" in inspect.getsource(RequestResponseCycle.__init__)

    async def never() -> None:
        cycle = RequestResponseCycle.__new__(RequestResponseCycle)
        cycle.disconnected = False
        left, stop = watch(cycle.receive)  # type: ignore[arg-type]
        assert stop is None
        assert left() is False
        cycle.disconnected = True
        assert left() is True

    asyncio.run(never())


def test_elsewhere_a_task_waits_for_the_caller_to_leave() -> None:
    async def scene() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        left, stop = watch(receive)
        assert stop is not None
        assert not left()
        gone.set()
        while not left():  # noqa: ASYNC110 - it is asked, as the batcher asks it
            await asyncio.sleep(0)
        stop()

    asyncio.run(scene())


class Gate:
    """A session whose runs wait until the test lets them go."""

    def __init__(self, session: Runs) -> None:
        self._session, self.entered, self.open = session, threading.Event(), threading.Event()
        self.runs = 0

    def run(self, tensors: Tensors) -> Tensors:
        self.entered.set()
        assert self.open.wait(30)
        self.runs += 1
        return self._session.run(tensors)


def gated(server: ThreadedServer, name: str) -> Gate:
    """Put a gate before a model, whose runs go to threads from now on."""
    batcher = server.app.registry.get(name).batcher
    gate = Gate(batcher._session)
    batcher._session = gate
    batcher.plan = batcher.plan._replace(inline=False, max_batch_size=1, max_pending_rows=3)
    return gate


async def ask(server: ThreadedServer, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url) as client:
        return await client.post("/v2/models/sum/infer", content=json.dumps(SUM), headers=headers)


async def until(condition: Any) -> None:
    while not condition():  # noqa: ASYNC110 - what is awaited is on another thread
        await asyncio.sleep(0.001)


def test_a_full_queue_is_429_and_a_caller_who_left_is_not_run(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path) as server:
        gate = gated(server, "sum")
        model = server.app.registry.get("sum")

        async def scene() -> None:
            running = asyncio.create_task(ask(server))
            await until(gate.entered.is_set)
            leaving, staying = asyncio.create_task(ask(server)), asyncio.create_task(ask(server))
            await until(lambda: model.batcher.admission.pending_rows == 3)
            refused = await ask(server)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert "overloaded" in refused.json()["error"]
            leaving.cancel()
            # The place of who left is free as soon as the server has seen it go.
            late = asyncio.create_task(ask(server))
            await asyncio.wait([late], timeout=0.2)
            gate.open.set()
            assert (await running).status_code == 200
            assert (await staying).status_code == 200
            assert (await late).status_code in (200, 429)
            await until(lambda: model.metrics.outcomes["cancelled"] == 1)

        asyncio.run(asyncio.wait_for(scene(), 30))
        assert gate.runs <= 3
        assert model.metrics.in_flight == 0


# Start and stop


@pytest.mark.slow
def test_a_refused_model_is_named_and_the_others_serve(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    folder = write_brightness(tmp_path)
    graph = bytearray((folder / "model.onnx").read_bytes())
    graph[100] ^= 1
    (folder / "model.onnx").write_bytes(graph)
    with start(models=tmp_path, strict_readiness=True) as server, httpx.Client(base_url=server.url) as http:
        ready = http.get("/v2/health/ready")
        assert ready.status_code == 503
        assert "sha256" in ready.json()["models"]["brightness"]
        assert http.get("/v2/health/live").status_code == 200
        assert http.post("/v2/models/sum/infer", content=json.dumps(SUM)).status_code == 200
        refused = http.get("/v2/models/brightness/ready")
        assert refused.status_code == 503
        assert "sha256" in refused.json()["error"]
        index = http.post("/v2/repository/index").json()
        assert {entry["name"]: entry["state"] for entry in index} == {
            "brightness": "UNAVAILABLE",
            "sum": "READY",
        }
        assert len(http.post("/v2/repository/index", content=b'{"ready":true}').json()) == 1
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        assert http.get("/v2/health/ready").status_code == 200


@pytest.mark.slow
def test_without_models_it_lives_and_is_not_ready(tmp_path: Path) -> None:
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        assert http.get("/v2/health/live").status_code == 200
        assert http.get("/v2/health/ready").status_code == 503


@pytest.mark.slow
def test_who_knows_the_token_loads_and_unloads(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path, admin_token=ADMIN) as server, httpx.Client(base_url=server.url) as http:
        http.headers["Authorization"] = f"Bearer {ADMIN}"
        assert http.post("/v2/repository/models/sum/unload").status_code == 200
        assert http.post("/v2/models/sum/infer", content=json.dumps(SUM)).status_code == 503
        overrides = {"parameters": {"config": "{}"}}
        assert http.post("/v2/repository/models/sum/load", json=overrides).status_code == 400
        assert http.post("/v2/repository/models/sum/load").status_code == 200
        assert http.post("/v2/models/sum/infer", content=json.dumps(SUM)).status_code == 200
        assert http.post("/v2/repository/models/x/load").status_code == 404
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        off = http.post("/v2/repository/models/sum/unload", headers={"Authorization": "Bearer x"})
        assert off.status_code == 403
        assert "administration is off" in off.json()["error"]


def test_a_drain_is_unready_at_once_and_loses_no_accepted_request(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path, drain_delay_s=60) as server:
        gate = gated(server, "sum")

        async def scene() -> None:
            running = asyncio.create_task(ask(server))
            await until(gate.entered.is_set)
            server.handle_exit(15, None)
            async with httpx.AsyncClient(base_url=server.url) as client:
                assert (await client.get("/v2/health/ready")).status_code == 503
                assert (await client.get("/v2/health/live")).status_code == 200
            late = asyncio.create_task(ask(server))
            await until(lambda: server.app.registry.get("sum").batcher.admission.pending_rows == 2)
            server.should_exit = True  # as if the delay were over
            gate.open.set()
            for answer in (await running, await late):
                assert answer.status_code == 200
                assert answer.headers["connection"] == "close"

        asyncio.run(asyncio.wait_for(scene(), 30))


# Settings


def test_settings_come_from_flags_and_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATON_PORT", "9000")
    monkeypatch.setenv("BATON_DRAIN_DELAY_S", "5")
    settings = read_settings(["--models", "somewhere", "--drain-delay-s", "7", "--no-strict-readiness"])
    assert settings.models == Path("somewhere")
    assert (settings.port, settings.drain_delay_s, settings.strict_readiness) == (9000, 7.0, False)


def test_every_fault_of_the_settings_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(port=-1, device="tpu", p99_ms=0)
    assert {fault["loc"][0] for fault in caught.value.errors()} == {"port", "device", "p99_ms"}


def test_every_setting_says_what_it_is_for() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, name


@without_cuda
def test_a_device_that_is_not_there_fails_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--models", str(tmp_path), "--device", "cuda"]) == 2
    assert "device: got 'cuda'" in capsys.readouterr().err


def test_what_cannot_work_is_refused_before_it_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--models", str(tmp_path / "nowhere")]) == 2
    assert "expected a folder of models" in capsys.readouterr().err
    assert main(["serve", "--port", "70000", "--p99-ms", "-1"]) == 2
    told = capsys.readouterr().err
    assert "--port: got" in told
    assert "--p99-ms: got" in told


@pytest.mark.slow
def test_how_a_model_is_run_can_be_set_by_hand(tmp_path: Path) -> None:
    """More runs at once than there are CPUs: each of them waits here for all the others."""
    write_bare(tmp_path, "sum", sum_graph())
    runs = available_cpus() + 2
    overrides = {"instances": runs, "intra_op_threads": 2, "max_batch_size": 1, "max_queue_rows": 300}
    with start(models=tmp_path, **overrides) as server, httpx.Client(base_url=server.url) as http:
        told = http.get("/v2/models/sum/profile").json()
        assert {point["threads"] for point in told["profile"]["points"]} == {2}
        plan = told["plan"]
        assert (plan["inline"], plan["instances"], plan["max_batch_size"]) == (False, runs, 1)
        assert plan["concurrent_runs"] == plan["instances"]
        assert plan["max_pending_rows"] == 300
        batcher, barrier = server.app.registry.get("sum").batcher, threading.Barrier(runs)
        session = batcher._session

        class Meeting:
            def run(self, tensors: Tensors) -> Tensors:
                barrier.wait(30)
                return session.run(tensors)

        batcher._session = Meeting()

        async def all_at_once() -> list[httpx.Response]:
            return await asyncio.gather(*(ask(server) for _ in range(runs)))

        assert [answer.status_code for answer in asyncio.run(all_at_once())] == [200] * runs
