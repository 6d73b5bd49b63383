"""Which versions answer: good ones only, swapped in one step, and readiness that tells the truth."""

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from inference.errors import ModelNotFound, ModelNotReady
from inference.options import Device, Precision
from inference.runtime.machine import available_cpus
from inference.runtime.providers import CPU, CUDA, PROVIDERS
from inference.runtime.session import OrtSession, SessionOptions
from inference.store.repository import ModelRepository
from serving.engine.loading import ModelLoader
from serving.engine.profile import ProfileCache
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ModelState, ServedModel
from tests.bundles import sum_graph, write_bare, write_brightness
from tests.devices import without_cuda


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


def _registry(root: Path, pool: ThreadPoolExecutor, *, every_version: bool = False) -> ModelRegistry:
    loader = ModelLoader("cpu", None, 1000.0, None, None, ProfileCache(None), pool)
    return ModelRegistry(ModelRepository(root), loader, every_version=every_version)


Scenario = Callable[[ModelRegistry, Path], Any]


def _play(test: Scenario, root: Path, pool: ThreadPoolExecutor, **options: bool) -> None:
    async def run() -> None:
        await test(_registry(root, pool, **options), root)

    asyncio.run(run())


def _spoil(folder: Path) -> None:
    golden = json.loads((folder / "golden.json").read_text())
    golden["examples"][0]["outputs"]["logits"][0] += 1
    (folder / "golden.json").write_text(json.dumps(golden))


def test_a_server_without_models_is_not_ready(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        assert not registry.ready()
        await registry.start()
        assert not registry.ready()

    _play(story, tmp_path, pool)


def test_what_is_measured_is_what_serves_so_no_session_is_opened_twice(
    tmp_path: Path, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []

    class Counted(OrtSession):
        def __init__(self, graph: bytes | Path, bundle: Path, options: SessionOptions) -> None:
            opened.append(options.threads)
            super().__init__(graph, bundle, options)

    monkeypatch.setattr("serving.engine.sessions.OrtSession", Counted)
    monkeypatch.setattr("inference.predictor.OrtSession", Counted)

    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        await registry.start()
        model = registry.get("brightness")
        assert isinstance(model.predictor.session, Counted)
        assert 1 in opened, "nothing was measured"
        assert set(opened) <= {1, available_cpus()}, "one more was opened to serve"
        assert len(opened) == len(set(opened))

    _play(story, tmp_path, pool)


def test_a_refused_model_leaves_the_others_and_readiness_names_it(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "sum", sum_graph())
        _spoil(write_brightness(root))
        await registry.start()
        assert registry.get("sum").version == 1
        assert not registry.ready()
        assert "golden.json has" in registry.problems()["brightness"]
        with pytest.raises(ModelNotReady, match=r"golden\.json has"):
            registry.get("brightness")

    _play(story, tmp_path, pool)


def test_a_new_version_takes_over_and_the_old_one_goes(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        await registry.start()
        old = registry.get("brightness")
        write_brightness(root, version=2)
        await registry.refresh()
        assert registry.get("brightness").version == 2
        with pytest.raises(ModelNotReady):
            registry.get("brightness", 1)
        await asyncio.sleep(0)
        old.batcher.admission.admit(1)  # a call that had found it in the table before the swap

    _play(story, tmp_path, pool)


def test_a_bad_new_version_never_takes_traffic(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        await registry.start()
        _spoil(write_brightness(root, version=2))
        await registry.refresh()
        assert registry.get("brightness").version == 1
        assert registry.ready()
        assert [(entry.version, entry.state) for entry in registry.index()] == [
            (1, ModelState.READY),
            (2, ModelState.REFUSED),
        ]

    _play(story, tmp_path, pool)


def test_a_refused_version_that_is_published_again_is_tried_again(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        folder = write_brightness(root)
        good = (folder / "golden.json").read_bytes()
        _spoil(folder)
        await registry.start()
        assert not registry.ready()
        (folder / "golden.json").write_bytes(good)
        manifest = folder / "manifest.json"
        manifest.write_text(manifest.read_text() + "\n")
        await registry.refresh()
        assert registry.ready()

    _play(story, tmp_path, pool)


@pytest.mark.slow
def test_a_bundle_that_is_being_copied_is_not_served_as_a_bare_graph(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        await registry.start()
        manifest = write_brightness(root, version=2) / "manifest.json"
        last = manifest.read_bytes()
        manifest.unlink()
        await registry.refresh()
        assert registry.get("brightness").version == 1
        assert not registry.refused()
        manifest.write_bytes(last)
        await registry.refresh()
        assert registry.get("brightness").version == 2
        assert registry.get("brightness").manifest.task == "vision"

    _play(story, tmp_path, pool)


def test_a_bare_graph_that_appears_is_served_when_it_has_stayed_the_same(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        await registry.start()
        write_bare(root, "sum", sum_graph())
        await registry.refresh()
        with pytest.raises(ModelNotFound):
            registry.get("sum")
        await registry.refresh()
        assert registry.get("sum").version == 1

    _play(story, tmp_path, pool)


def test_every_version_answers_under_its_number_when_all_are_served(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        write_brightness(root, version=3)
        await registry.start()
        assert [model.version for model in registry.served()] == [1, 3]
        assert registry.get("brightness").version == 3
        assert registry.get("brightness", 1).version == 1

    _play(story, tmp_path, pool, every_version=True)


def test_unknown_names_and_versions_are_not_found(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        await registry.start()
        with pytest.raises(ModelNotFound, match="Request for unknown model: 'x' is not found"):
            registry.get("x")
        with pytest.raises(ModelNotFound, match="'brightness' version '9'"):
            registry.get("brightness", 9)

    _play(story, tmp_path, pool)


def test_before_the_first_look_is_over_no_model_is_unknown(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        with pytest.raises(ModelNotReady, match="the server is starting"):
            registry.get("x")
        write_brightness(root)
        await registry.start()
        with pytest.raises(ModelNotFound):
            registry.get("x")

    _play(story, tmp_path, pool)


def test_an_unloaded_model_stays_away_until_it_is_loaded(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        await registry.start()
        await registry.unload("brightness")
        await registry.refresh()
        with pytest.raises(ModelNotReady):
            registry.get("brightness")
        assert registry.problems() == {}
        await registry.load("brightness")
        assert registry.get("brightness").version == 1

    _play(story, tmp_path, pool)


def test_a_model_that_is_deleted_is_forgotten(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "sum", sum_graph())
        folder = write_bare(root, "other", sum_graph())
        await registry.start()
        (folder / "model.onnx").unlink()
        await registry.refresh()
        with pytest.raises(ModelNotFound):
            registry.get("other")
        assert registry.ready()

    _play(story, tmp_path, pool)


def test_a_draining_server_admits_nothing(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "sum", sum_graph())
        await registry.start()
        await registry.drain()
        with pytest.raises(ModelNotReady, match="draining"):
            registry.get("sum").batcher.admission.admit(1)

    _play(story, tmp_path, pool)


# A GPU's place, taken by the CPU


def _load(
    path: Path, pool: ThreadPoolExecutor, device: Device, precision: Precision | None = None
) -> ServedModel:
    async def run() -> ServedModel:
        loader = ModelLoader(device, precision, 1000.0, None, None, ProfileCache(None), pool)
        return loader(path)()

    return asyncio.run(run())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("device", "asked", "served"),
    [("cpu", None, "int8"), ("cuda", None, "fp32"), ("cuda", "int8", "int8"), ("auto", None, "fp32")],
)
def test_a_GPU_is_given_fp32_whatever_is_faster_on_a_CPU(  # noqa: N802
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    device: Device,
    asked: Precision | None,
    served: Precision,
) -> None:
    monkeypatch.setitem(PROVIDERS, "cuda", CPU)
    monkeypatch.setattr("serving.engine.loading.check_device", lambda _: CUDA)
    assert _load(Path("models/fashion/3"), pool, device, asked).predictor.precision == served


@without_cuda
def test_auto_without_CUDA_serves_as_on_a_CPU(pool: ThreadPoolExecutor) -> None:  # noqa: N802
    assert _load(Path("models/fashion/3"), pool, "auto").predictor.precision == "int8"


def test_auto_is_told_of_CUDA_that_does_not_start(  # noqa: N802
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serving.engine.loading.check_device", lambda _: CUDA)
    monkeypatch.setitem(PROVIDERS, "cuda", "NoSuchExecutionProvider")
    model = _load(Path("models/fashion/3"), pool, "auto")
    assert (model.predictor.precision, model.predictor.session.provider) == ("int8", CPU)
    assert "fashion: CUDA does not start here, so it runs on the CPU" in caplog.text


@pytest.mark.slow
def test_a_graph_that_minds_changes_is_served_at_few_sizes(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PROVIDERS, "cuda", CPU)
    monkeypatch.setattr("serving.engine.measuring.slowed_by_changes", lambda *_: True)
    model = _load(Path("models/fashion/3"), pool, "cuda")
    assert model.profile.batch_sizes == (1, 4, 16, 64, 256)
    assert model.predictor.session.options.batch_sizes == (1, 4, 16, 64, 256)
