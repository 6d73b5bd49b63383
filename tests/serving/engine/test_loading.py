"""What a model is loaded with: proved before its rows share runs, measured before it serves or under way."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import numpy as np
import pytest
from onnx import TensorProto

from inference.proving.independence import BatchProof
from inference.store.bundle import Bundle
from inference.store.repository import ModelRepository
from serving.engine import loading, proving
from serving.engine.profile import Profile, ProfileCache
from serving.engine.registry import ModelRegistry
from serving.engine.turns import Turns
from tests.bundles import graph_bytes, write_bare, write_brightness
from tests.inference.proving.test_independence import CASES, node, tensor
from tests.serving.graphs import identity_graph
from tests.serving.servers import ThreadedServer, start

FOUND = CASES["places of what is positive"]
LAYER = CASES["a layer"]


def infer(http: httpx.Client, name: str, x: Any, datatype: str = "FP32") -> Any:
    array = np.asarray(x)
    given = {
        "name": "x",
        "shape": list(array.shape),
        "datatype": datatype,
        "data": array.reshape(-1).tolist(),
    }
    answer = http.post(f"/v2/models/{name}/infer", json={"inputs": [given]})
    assert answer.status_code == 200, answer.text
    (output,) = answer.json()["outputs"]
    return np.array(output["data"]).reshape(output["shape"])


def profile(http: httpx.Client, name: str) -> Profile:
    return Profile.model_validate(http.get(f"/v2/models/{name}/profile").json()["profile"])


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be proved or measured before a model serves."""
    monkeypatch.setattr(loading, "LEAST_BUDGET_S", 0.0)
    monkeypatch.setattr(loading, "BUDGET_OF_CREATION", 0.0)


@pytest.fixture
def layer(tmp_path: Path) -> Iterator[tuple[ThreadedServer, httpx.Client]]:
    write_bare(tmp_path, "layer", graph_bytes(*LAYER[:4]))
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        yield server, http


@pytest.mark.usefixtures("no_time")
def test_a_model_serves_before_it_is_measured_and_its_rows_stay_apart_until_proved(
    layer: tuple[ThreadedServer, httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, http = layer
    x = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    wait_until(lambda: profile(http, "layer").measured)
    told = profile(http, "layer")
    assert told.batching == BatchProof(batched=True, worst=told.batching.worst if told.batching else 1.0)
    model = server.app.registry.get("layer")
    assert model.manifest.max_batch_size == 64
    assert server.app.registry.get("layer", 1) is model
    assert infer(http, "layer", x) == pytest.approx(x @ LAYER.weights["w"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("no_time")
def test_what_is_measured_under_way_waits_for_a_moment_without_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_MAX_WAIT_S", 60.0)
    busy = [True]
    monkeypatch.setattr(loading.ModelLoader, "is_busy", lambda _: busy[0])
    write_bare(tmp_path, "layer", graph_bytes(*LAYER[:4]))
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        told = profile(http, "layer")
        assert not told.measured
        assert told.points == ()
        plan = server.app.registry.get("layer").batcher.plan
        assert (plan.max_batch_size, plan.inline) == (1, False)
        x = np.ones((3, 6), np.float32)
        assert infer(http, "layer", x) == pytest.approx(x @ LAYER.weights["w"], rel=1e-5)
        busy[0] = False
        wait_until(lambda: profile(http, "layer").measured)
        assert server.app.registry.get("layer").batcher.plan.max_batch_size > 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_time")
def test_what_measuring_does_not_change_is_not_said_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_bare(tmp_path, "whole", identity_graph(TensorProto.FLOAT, 2, 3))
    caplog.set_level("INFO", "baton")
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        wait_until(lambda: profile(http, "whole").measured)
    assert caplog.text.count("requests are run one at a time") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("no_time")
def test_a_server_that_ends_does_not_wait_for_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_MAX_WAIT_S", 600.0)
    monkeypatch.setattr(loading.ModelLoader, "is_busy", lambda _: True)
    write_bare(tmp_path, "layer", graph_bytes(*LAYER[:4]))
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        assert not profile(http, "layer").measured
        began = time.monotonic()
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_a_graph_that_nobody_could_run_is_measured_by_its_first_request(tmp_path: Path) -> None:
    nodes = [node("Reshape", "x s", "y")]
    never = graph_bytes(
        nodes, [tensor("x", "A", "B")], [tensor("y", 7, 11, 13)], {"s": np.array([7, 11, 13])}
    )
    write_bare(tmp_path, "never", never)
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        told = profile(http, "never")
        assert not told.measured
        assert told.note.startswith("none of ")
        (diagnosed,) = http.get("/v2/diagnostics").json()["models"]
        assert diagnosed["note"] == told.note
        assert diagnosed["one_by_one"].startswith("it is not proved")
        bad = http.post("/v2/models/never/infer", json={"inputs": [
            {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1]}]})  # fmt: skip
        assert bad.status_code == 500
        x = np.arange(1001, dtype=np.float32).reshape(7, 143)
        assert (infer(http, "never", x).reshape(-1) == x.reshape(-1)).all()
        wait_until(lambda: profile(http, "never").measured)
        told = profile(http, "never")
        assert told.note == ""
        assert told.batching is not None
        assert told.batching.reason == "the first axis of output y is fixed: its shape is [7, 11, 13]"
        assert (infer(http, "never", x).reshape(-1) == x.reshape(-1)).all()


def ask_at_once(http: httpx.Client, name: str, rows: list[Any]) -> list[Any]:
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda row: infer(http, name, row), rows))


@pytest.mark.slow
@pytest.mark.parametrize("proved", [True, False], ids=["proved", "taken for a batch"])
def test_rows_that_come_out_in_another_number_are_never_dealt_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proved: bool
) -> None:
    """Even where the proof were wrong: the runs are then made again one by one, and no two meet any more."""
    if not proved:
        for name in ("prove", "confirm"):
            monkeypatch.setattr(proving, name, lambda *_, **__: BatchProof(batched=True))
    write_bare(tmp_path, "found", graph_bytes(*FOUND[:4]))
    rng = np.random.default_rng(2)
    rows = [rng.normal(size=(1, 6)).astype(np.float32) for _ in range(300)]
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        answers = ask_at_once(http, "found", rows)
        batcher = server.app.registry.get("found").batcher
    assert all((answer == np.argwhere(row != 0)).all() for row, answer in zip(rows, answers, strict=True))
    assert bool(batcher.one_by_one) is not proved


@pytest.mark.slow
def test_more_rows_than_a_batch_are_cut_into_runs(tmp_path: Path) -> None:
    write_bare(tmp_path, "layer", graph_bytes(*LAYER[:4]))
    x = np.random.default_rng(3).normal(size=(1000, 6)).astype(np.float32)
    with start(models=tmp_path, max_batch_size=16) as server, httpx.Client(base_url=server.url) as http:
        many = [x, x[:17], x[:1], x[500:]]
        for given, seen in zip(many, ask_at_once(http, "layer", many), strict=True):
            assert seen == pytest.approx(given @ LAYER.weights["w"], rel=1e-4, abs=1e-5)
        seen = server.app.registry.get("layer").metrics
        assert (seen.rows, seen.successes, seen.in_flight) == (1518, 4, 0)
        assert max(seen.batches) <= 16
        assert server.app.registry.get("layer").batcher.admission.pending_rows == 0


@pytest.mark.slow
def test_an_operators_own_limit_of_rows_holds_for_one_request_too(tmp_path: Path) -> None:
    write_bare(tmp_path, "layer", graph_bytes(*LAYER[:4]))
    with start(models=tmp_path, max_queue_rows=20) as server, httpx.Client(base_url=server.url) as http:
        assert infer(http, "layer", np.ones((20, 6), np.float32)).shape == (20, 6)
        given = {"name": "x", "shape": [21, 6], "datatype": "FP32", "data": [1.0] * 126}
        answer = http.post("/v2/models/layer/infer", json={"inputs": [given]})
        assert (answer.status_code, "at most 20" in answer.text) == (413, True)


@pytest.mark.slow
def test_a_part_that_fails_fails_the_request_and_no_other(tmp_path: Path) -> None:
    """The ids of one part are outside the table; the parts behind it are not run."""
    table = np.arange(40, dtype=np.float32).reshape(10, 4)
    graph = graph_bytes(
        [node("Gather", "t x", "y")],
        [tensor("x", "N", kind=TensorProto.INT64)],
        [tensor("y", "N", 4)],
        {"t": table},
    )
    write_bare(tmp_path, "table", graph)
    bad = np.zeros(40, np.int64)
    bad[3] = 10
    with start(models=tmp_path, max_batch_size=4) as server, httpx.Client(base_url=server.url) as http:
        given = {"name": "x", "shape": [40], "datatype": "INT64", "data": bad.tolist()}
        answer = http.post("/v2/models/table/infer", json={"inputs": [given]})
        assert answer.status_code == 500
        assert (infer(http, "table", [1, 2, 9, 0, 5], "INT64") == table[[1, 2, 9, 0, 5]]).all()
        assert server.app.registry.get("table").batcher.admission.pending_rows == 0


@pytest.mark.slow
def test_a_bundles_examples_are_proved_in_company_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_brightness(tmp_path)
    with start(models=tmp_path) as server:
        told = server.app.registry.get("brightness")
        assert told.profile.batching is not None
        assert told.profile.batching.batched
        assert told.manifest.max_batch_size == 16
    monkeypatch.setattr(proving, "prove", lambda *_, **__: BatchProof(batched=False, reason="by this test"))
    with start(models=tmp_path) as server, httpx.Client(base_url=server.url) as http:
        assert server.app.registry.get("brightness").manifest.max_batch_size == 0
        assert http.get("/v2/diagnostics").json()["models"][0]["one_by_one"] == "by this test"


@pytest.mark.slow
def test_a_kept_profile_keeps_its_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_bare(tmp_path / "models", "found", graph_bytes(*FOUND[:4]))
    for _ in range(2):
        with start(models=tmp_path / "models", profile_cache=tmp_path / "kept") as server:
            model = server.app.registry.get("found")
            assert model.profile.batching is not None
            assert model.manifest.max_batch_size == 0
        monkeypatch.setattr(proving, "prove", None)


@pytest.mark.slow
def test_what_is_cut_into_runs_was_proved_in_one(tmp_path: Path) -> None:
    """A graph that computes only the first eight rows of a batch: runs of three would never show it."""
    ends = {"from": np.array([0]), "to": np.array([8]), "rest": np.array([2**31]), "axis": np.array([0])}
    nodes = [
        node("Slice", "x from to axis", "first"),
        node("Slice", "x to rest axis", "others"),
        node("Sub", "others others", "nothing"),
        node("Concat", "first nothing", "y", axis=0),
    ]
    write_bare(tmp_path, "eight", graph_bytes(nodes, LAYER.inputs, LAYER.outputs, ends))
    x = np.random.default_rng(3).normal(size=(12, 6)).astype(np.float32)
    with start(models=tmp_path, max_batch_size=3) as server, httpx.Client(base_url=server.url) as http:
        seen = infer(http, "eight", x)
        assert seen == pytest.approx(np.concatenate([x[:8], np.zeros((4, 6))]))
        assert server.app.registry.get("eight").manifest.max_batch_size == 0


def test_models_are_measured_one_at_a_time_and_not_while_another_is_created() -> None:
    turns, seen = Turns(), list[str]()

    def measure() -> None:
        with turns.measure():
            assert not turns.creating
            seen.append("measured")

    with ThreadPoolExecutor(2) as pool:
        with turns.create(), turns.create():
            waiting = [pool.submit(measure), pool.submit(measure)]
            time.sleep(0.05)
            assert turns.creating
            assert seen == []
        for each in waiting:
            each.result(10)
    assert seen == ["measured", "measured"]


def test_models_are_created_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        write_bare(tmp_path, name, graph_bytes(*LAYER[:4]))
    both, opened = Barrier(2), Bundle.open

    def open_when_both_are_here(*arguments: Any) -> Bundle:
        both.wait(30)
        return opened(*arguments)

    monkeypatch.setattr(Bundle, "open", open_when_both_are_here)
    repository = ModelRepository(tmp_path)

    async def load() -> list[str]:
        with ThreadPoolExecutor() as runs:
            loader = loading.ModelLoader("cpu", None, None, None, None, ProfileCache(None), runs)
            registry = ModelRegistry(repository, loader, threads=2)
            await registry.start()
            return [model.name for model in registry.served()]

    assert asyncio.run(load()) == ["one", "two"]


@pytest.mark.slow
def test_a_request_alone_may_have_more_rows_than_a_p99_admits_but_not_more_than_an_operator_does(
    tmp_path: Path,
) -> None:
    write_bare(tmp_path, "layer", graph_bytes(*LAYER[:4]))
    with start(models=tmp_path, p99_ms=0.001) as server, httpx.Client(base_url=server.url) as http:
        admitted = server.app.registry.get("layer").batcher.plan.max_pending_rows
        assert infer(http, "layer", np.ones((admitted + 9, 6), np.float32)).shape == (admitted + 9, 6)
    both = start(models=tmp_path, p99_ms=0.001, max_queue_rows=admitted + 9)
    with both as server, httpx.Client(base_url=server.url) as http:
        plan = server.app.registry.get("layer").batcher.plan
        assert (plan.max_queue_rows, plan.max_wait_s) == (admitted + 9, 1e-6)
        assert infer(http, "layer", np.ones((admitted + 9, 6), np.float32)).shape == (admitted + 9, 6)
        rows = admitted + 10
        given = {"name": "x", "shape": [rows, 6], "datatype": "FP32", "data": [1.0] * 6 * rows}
        refused = http.post("/v2/models/layer/infer", json={"inputs": [given]})
        assert (refused.status_code, f"at most {admitted + 9}" in refused.text) == (413, True)
