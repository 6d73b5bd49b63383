"""`:explain`: the answers over HTTP, and how its runs make way for everybody else's, stepped by hand."""

import asyncio
import base64
import io
import re
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import numpy as np
import pytest
from PIL import Image

from inference.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    ExplanationsFull,
    InputTooLarge,
    ModelNotReady,
)
from inference.predictor import Predictor
from inference.processors.occlusion import Explanation
from inference.values import Payload, Tensors
from serving.engine.batching import DynamicBatcher
from serving.engine.context import RequestContext
from serving.engine.explaining import ExplanationPlane
from serving.engine.fair_pool import FairPool
from serving.engine.metrics import ModelMetrics
from serving.engine.plan import Plan
from serving.engine.queues import LOW_SHARE
from serving.engine.served_model import ServedModel
from tests.bundles import SIDE, write_brightness
from tests.serving.engine.test_batching import Puppet, Timeline, settle

URL = "/v1/models/brightness:explain"
AT_ONCE = 2
GRID = 4  # 16 parts: 4 chunks of the 4 rows that a batch holds here


def corner() -> bytes:
    """A PNG that is bright in its upper left quarter."""
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[: SIDE // 2, : SIDE // 2] = 255
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def instance() -> dict[str, str]:
    return {"b64": base64.b64encode(corner()).decode()}


# Over HTTP


@pytest.mark.parametrize("path", [URL, "/v1/models/brightness/versions/1:explain"])
def test_a_picture_is_explained_by_the_part_that_makes_it_bright(http: httpx.Client, path: str) -> None:
    answer = http.post(path, json={"instances": [instance()] * 2, "parameters": {"grid": 2}})
    assert answer.status_code == 200, answer.text
    first, second = answer.json()["explanations"]
    assert first == second
    assert (first["label"], first["shape"], first["region"]) == ("dark", [2, 2], [0, 0, 1, 1])
    assert first["drops"][0][0] < 0 == first["drops"][0][1] == first["drops"][1][0] == first["drops"][1][1]
    times = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"]))
    assert all(float(times[stage]) > 0 for stage in ("decode", "preprocess", "run", "postprocess"))


def test_a_raw_body_is_explained_with_the_usual_grid(http: httpx.Client) -> None:
    answer = http.post(URL, content=corner(), headers={"content-type": "image/png"})
    assert answer.json()["explanations"][0]["shape"] == [SIDE, SIDE]


def test_the_router_explains_as_the_fast_path_does(http: httpx.Client) -> None:
    # A version with a leading zero is no path of the fast path, so the router answers it.
    body = {"instances": [instance()]}
    fast, slow = (http.post(f"/v1/models/brightness/versions/{v}:explain", json=body) for v in ("1", "01"))
    assert (fast.status_code, fast.content) == (slow.status_code, slow.content)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"instances": [instance()], "parameters": {"grid": 5}}, 400, "parameters.grid: got 5"),
        ({"instances": [instance()], "parameters": {"gird": 2}}, 400, "parameters.gird"),
        ({"instances": [instance()], "parameters": [2]}, 400, "parameters: got an array"),
        ({"instances": [instance(), 7]}, 400, "instances[1]"),
        ({"instances": []}, 400, "an empty list"),
    ],
)
def test_what_cannot_be_explained_is_named(http: httpx.Client, body: Any, status: int, words: str) -> None:
    answer = http.post(URL, json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_only_models_with_a_task_are_explained(http: httpx.Client) -> None:
    assert http.post("/v1/models/sum:explain", json={"instances": [1]}).status_code == 501
    assert http.post("/v1/models/x:explain", json={"instances": [1]}).status_code == 404


def test_explanations_are_counted_apart_from_predictions(http: httpx.Client) -> None:
    def counted() -> tuple[float, ...]:
        lines = dict(line.rsplit(" ", 1) for line in http.get("/metrics").text.splitlines() if line[0] != "#")
        names = ("baton_explanations_total", "baton_request_seconds_count", "nv_inference_count")
        return tuple(float(lines[f'{name}{{model="brightness",version="1"}}']) for name in names)

    before = counted()
    http.post(URL, json={"instances": [instance()] * 3, "parameters": {"grid": 2}})
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [3, 0, 3 * 5]


# By hand


class AtOnce(Executor):
    """Runs what it is given where it is given."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Bench:
    """A model whose runs the test lets go one by one, and notes by their rows."""

    def __init__(self, folder: Path) -> None:
        self.timeline, self.runs, self.sizes, self.row_s = Timeline(), Puppet(), list[int](), 0.0
        self.predictor = Predictor.open(write_brightness(folder))
        self.metrics = ModelMetrics("brightness", 1)
        self.batcher = DynamicBatcher(
            "brightness", self, self.predictor.processor, Plan(False, 1, 4, 4, 8), self.runs, self.metrics,
            clock_ns=self.timeline.now_ns, call_later=self.timeline.call_later,
        )  # fmt: skip
        self.model = cast(
            "ServedModel",
            SimpleNamespace(
                name="brightness", batcher=self.batcher, predictor=self.predictor, metrics=self.metrics
            ),
        )

    def run(self, tensors: Tensors) -> Tensors:
        self.sizes.append(len(tensors["image"]))
        self.timeline.step(self.row_s * self.sizes[-1])
        return self.predictor.session.run(tensors)

    def explain(self, context: RequestContext, max_rows: int = 100) -> "asyncio.Task[list[Explanation]]":
        plane = ExplanationPlane(FairPool(AtOnce()), max_rows, AT_ONCE, self.timeline.now_ns)
        payloads = [Payload(corner(), "image/png")]
        return asyncio.ensure_future(plane.explain(self.model, payloads, {"grid": GRID}, context))

    def predict(self, rows: int) -> "asyncio.Future[Tensors]":
        pixels = np.zeros((rows, SIDE, SIDE, 1), np.uint8)
        return self.batcher.submit({"image": pixels}, rows, RequestContext())

    async def let_run_all(self) -> None:
        while self.runs.held:
            await self.runs.let_run()


def test_who_came_later_with_a_prediction_goes_first(tmp_path: Path) -> None:
    async def scene() -> None:
        bench = Bench(tmp_path)
        explained = bench.explain(RequestContext())
        await settle()
        first = bench.predict(2)
        await bench.runs.let_run()  # the whole row; now the first prediction runs and a chunk waits
        second = bench.predict(3)
        await settle()
        await bench.let_run_all()
        assert bench.sizes == [1, 2, 3, 4, 4, 4, 4]
        assert len((await explained)[0]["drops"]) == GRID
        assert (await first)["probabilities"].shape == (2, 2)
        assert (await second)["probabilities"].shape == (3, 2)
        assert not bench.batcher.admission.busy

    asyncio.run(scene())


def test_explanations_take_no_place_of_predictions_and_their_own_are_counted(tmp_path: Path) -> None:
    async def scene() -> None:
        bench = Bench(tmp_path)
        explained = [bench.explain(RequestContext()) for _ in range(AT_ONCE)]
        await settle()
        admission = bench.batcher.admission
        assert (admission.pending_rows, admission.explanations) == (0, AT_ONCE)
        with pytest.raises(
            ExplanationsFull, match="2 requests for explanations under way, which is its limit"
        ):
            await bench.explain(RequestContext())
        admission.admit(8)  # all that the model has
        await bench.let_run_all()
        await asyncio.gather(*explained)
        assert (admission.pending_rows, admission.explanations) == (8, 0)

    asyncio.run(scene())


def test_an_explanation_is_let_in_where_predictions_fill_the_model_and_ends(tmp_path: Path) -> None:
    """While predictions wait before every run: 1 + 16 rows, at a twentieth of theirs."""

    async def scene() -> None:
        bench = Bench(tmp_path)
        predictions = [bench.predict(4) for _ in range(2)]
        explained = bench.explain(RequestContext())
        for _ in range(200):
            await settle()
            if explained.done():
                break
            predictions.append(bench.predict(4))
            await bench.runs.let_run()
        assert len((await explained)[0]["drops"]) == GRID
        assert sum(bench.sizes) * LOW_SHARE == pytest.approx(17, abs=4)
        await bench.let_run_all()
        await asyncio.gather(*predictions)

    asyncio.run(scene())


def test_an_unload_waits_for_explanations_too(tmp_path: Path) -> None:
    async def scene() -> None:
        bench = Bench(tmp_path)
        explained = bench.explain(RequestContext())
        await settle()
        drained = asyncio.ensure_future(bench.batcher.admission.drain())
        await settle()
        assert not drained.done()
        with pytest.raises(ModelNotReady, match="draining"):
            await bench.explain(RequestContext())
        await bench.let_run_all()
        await explained
        await drained

    asyncio.run(scene())


def test_no_run_of_a_slow_model_keeps_a_prediction_waiting_for_long(tmp_path: Path) -> None:
    async def scene() -> None:
        bench = Bench(tmp_path)
        bench.row_s = 0.009  # two rows are run within 20 ms, three are not
        explained = bench.explain(RequestContext())
        await settle()
        await bench.let_run_all()
        await explained
        assert bench.sizes == [1] + [2] * 8

    asyncio.run(scene())


def test_who_leaves_stops_it(tmp_path: Path) -> None:
    async def scene() -> None:
        bench, gone = Bench(tmp_path), list[bool]()
        explained = bench.explain(RequestContext(is_disconnected=lambda: bool(gone)))
        await settle()
        await bench.runs.let_run()
        await bench.runs.let_run()
        gone.append(True)
        await bench.let_run_all()
        with pytest.raises(ClientDisconnected):
            await explained
        assert bench.sizes == [1, 4]  # the last had been handed over, and had not begun
        assert not bench.batcher.admission.busy
        assert bench.metrics.in_flight == 0

    asyncio.run(scene())


def test_its_deadline_stops_it(tmp_path: Path) -> None:
    async def scene() -> None:
        bench = Bench(tmp_path)
        explained = bench.explain(RequestContext(deadline_s=bench.timeline.now_s + 1, timeout_s=1))
        await settle()
        await bench.runs.let_run()
        bench.timeline.step(2)
        await bench.let_run_all()
        bench.timeline.step(0)
        await settle()
        with pytest.raises(DeadlineExceeded):
            await explained
        assert bench.sizes == [1]
        assert not bench.batcher.admission.busy

    asyncio.run(scene())


def test_the_rows_of_a_call_are_bounded_before_any_runs(tmp_path: Path) -> None:
    async def scene() -> None:
        bench = Bench(tmp_path)
        with pytest.raises(InputTooLarge, match="17 rows to run up to body, expected at most 16"):
            await bench.explain(RequestContext(), max_rows=16)
        assert bench.sizes == []

    asyncio.run(scene())
