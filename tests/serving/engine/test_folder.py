"""A folder that people copy into, mount and mistype: what serves goes on, what is wrong costs itself and is said."""

import asyncio
import functools
import gc
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference.errors import LoadRefused, ModelNotFound, ModelNotReady
from inference.store.repository import ModelRepository, Sight
from serving.engine import attempts
from serving.engine.folder_watch import FolderWatch
from serving.engine.group import Alone, Process
from serving.engine.inflight import InflightBytes
from serving.engine.loading import ModelLoader
from serving.engine.profile import ProfileCache
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ModelState
from tests.bundles import (
    MODELS,
    graph_bytes,
    sum_graph,
    write_bare,
    write_brightness,
)
from tests.deploy.conftest import answers, free_port, serving, until
from tests.deploy.tools import ROOT, missing, need
from tests.serving.servers import ADMIN, start
from tests.wrong_things import WRONG

POLL_S = 0.2
TOKEN = {"authorization": f"Bearer {ADMIN}"}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "baton.registry")
    return caplog


Story = Callable[[ModelRegistry, Path], Awaitable[None]]


def _registry(root: Path, pool: ThreadPoolExecutor, **options: bool) -> ModelRegistry:
    loader = ModelLoader("cpu", None, 1000.0, None, None, ProfileCache(None), pool)
    return ModelRegistry(ModelRepository(root), loader, **options)


def _play(story: Story, root: Path, pool: ThreadPoolExecutor, **options: bool) -> None:
    async def run() -> None:
        await story(_registry(root, pool, **options), root)

    asyncio.run(run())


def _states(registry: ModelRegistry) -> dict[str, str]:
    return {f"{entry.name}/{entry.version}": entry.state.value for entry in registry.index()}


def _reason(registry: ModelRegistry, name: str, version: int | str = 1) -> str:
    (found,) = (entry.reason for entry in registry.index() if (entry.name, entry.version) == (name, version))
    return found


def _serves(registry: ModelRegistry, name: str, version: int) -> bool:
    return (name, version) in {(model.name, model.version) for model in registry.served()}


def _put(path: Path, kind: str) -> None:
    """Something in the place of a folder."""
    if kind == "an empty folder":
        path.mkdir()
    elif kind == "a file":
        path.touch()


def _move(path: Path, target: Path) -> None:
    if target.is_file():
        target.unlink()
    elif target.is_dir():
        target.rmdir()
    path.rename(target)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def _overwrite(folder: Path, graph: bytes) -> None:
    (folder / "model.onnx").write_bytes(graph)


def _difference_graph() -> bytes:
    """As `sum_graph`, but total = x - y."""
    from onnx import TensorProto, helper

    nodes = [helper.make_node("Sub", ["x", "y"], ["total"])]
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3]) for n in ("x", "y", "total")]
    return graph_bytes(nodes, infos[:2], infos[2:], {})


# Copiers


def _plainly(target: Path, data: bytes) -> Iterator[None]:
    """As cp writes: under its own name, which grows."""
    with target.open("wb") as file:
        for half in (data[: len(data) // 2], data[len(data) // 2 :]):
            file.write(half)
            file.flush()
            yield


def _aside(target: Path, data: bytes) -> Iterator[None]:
    """As rsync writes: under a hidden name, which is renamed when it is whole."""
    hidden = target.with_name(f".{target.name}.Xa12")
    yield from _plainly(hidden, data)
    hidden.rename(target)
    yield


def _in_place(target: Path, data: bytes) -> Iterator[None]:
    """As `rsync --inplace --preallocate` writes: as long as it will be from the start."""
    target.write_bytes(bytes(len(data)))
    yield
    with target.open("r+b") as file:
        file.write(data)
    yield


@pytest.mark.slow
@pytest.mark.parametrize("write", [_plainly, _aside, _in_place])
@pytest.mark.parametrize("seed", range(4))
def test_a_bundle_that_comes_in_any_order_is_served_when_it_is_whole(
    tmp_path: Path, pool: ThreadPoolExecutor, write: Callable[[Path, bytes], Iterator[None]], seed: int
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        await registry.start()
        chance = random.Random(seed)
        files = list(_files(write_brightness(tmp_path / "away", version=2)).items())
        chance.shuffle(files)
        for name, data in files:
            target = root / "brightness/2" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            for _ in write(target, data):
                for _ in range(chance.choice((0, 1, 1, 3))):  # a copier that waits for longer than a look
                    await registry.refresh()
                    assert registry.steady()
                    assert registry.get("brightness").manifest.task == "vision"
        for _ in range(2):
            await registry.refresh()
        assert registry.get("brightness").version == 2, _states(registry)
        assert registry.get("brightness").manifest.task == "vision"

    root = tmp_path / "models"
    root.mkdir()
    _play(story, root, pool)


def test_a_bundle_that_is_half_there_at_the_start_is_tried_until_it_is_whole(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        files = _files(write_brightness(root))
        shutil.rmtree(root / "brightness")
        write_bare(root, "sum", sum_graph())
        (root / "brightness/1/golden").mkdir(parents=True)
        await registry.start()
        for name, data in files.items():
            (root / "brightness/1" / name).write_bytes(data)
            await registry.refresh()
        await registry.refresh()
        assert registry.get("brightness").manifest.task == "vision"
        assert registry.ready()

    _play(story, tmp_path, pool)
    assert "Traceback" not in log.text


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No copier pauses."""
    monkeypatch.setattr(attempts, "PATIENCE_S", 0.0)


def test_a_graph_whose_manifest_comes_late_becomes_the_bundle_that_it_is(
    tmp_path: Path, pool: ThreadPoolExecutor, impatient: None
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        folder = write_brightness(root)
        files = _files(folder)
        shutil.rmtree(folder)
        write_bare(root, "brightness", files.pop("model.onnx"))
        await registry.start()
        assert registry.get("brightness").manifest.task == "tensor"
        (folder / "golden").mkdir()
        manifest, text = folder / "manifest.json", files.pop("manifest.json")
        for name, data in files.items():
            (folder / name).write_bytes(data)
            await registry.refresh()
        manifest.write_bytes(text[:100])
        await registry.refresh()
        await registry.refresh()
        assert registry.get("brightness").manifest.task == "tensor"
        assert "what is on disk is refused" in _reason(registry, "brightness")
        manifest.write_bytes(text)
        await registry.refresh()
        assert registry.get("brightness").manifest.task == "vision"

    _play(story, tmp_path, pool)


def test_a_file_that_never_comes_is_a_reason_and_the_version_is_tried_again_when_something_changes(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture, impatient: None
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        await registry.start()
        labels = write_brightness(root) / "labels.json"
        text = labels.read_bytes()
        labels.unlink()
        for _ in range(5):
            await registry.refresh()
        assert "labels.json is listed in manifest.json and is not there" in _reason(registry, "brightness")
        assert registry.refused() == [("brightness", 1)]
        labels.write_bytes(text)
        await registry.refresh()
        assert registry.get("brightness").version == 1
        assert registry.refused() == []

    _play(story, tmp_path, pool)
    assert log.text.count("refused brightness/1") == 1
    assert "bundle brightness/1" not in log.text  # which the line has named already


@pytest.mark.slow
@pytest.mark.parametrize("bundle", [False, True], ids=["a bare graph", "a bundle"])
def test_a_copier_that_pauses_longer_than_two_looks_is_waited_for_and_no_error_is_logged(
    tmp_path: Path,
    pool: ThreadPoolExecutor,
    log: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    bundle: bool,
) -> None:
    opened: list[str] = []

    async def story(unused: ModelRegistry, root: Path) -> None:
        load = ModelLoader("cpu", None, 1000.0, None, None, ProfileCache(None), pool)

        def loader(located: Any) -> Any:
            opened.append(located.name)
            return load(located)

        registry = ModelRegistry(ModelRepository(root), loader)
        await registry.start()
        graph = (
            write_brightness(root, "slow") if bundle else write_bare(root, "slow", sum_graph())
        ) / "model.onnx"
        whole = graph.read_bytes()
        graph.write_bytes(whole[: len(whole) // 2])
        for _ in range(5):
            await registry.refresh()
        assert registry.refused() == []
        assert "it changes, and is looked at again" in _reason(registry, "slow")
        assert len(opened) <= 2, "once as it is, and a bundle once before"
        graph.write_bytes(whole)
        for _ in range(2):
            await registry.refresh()
        assert registry.get("slow").version == 1
        graph.parent.rename(root / "away")
        shutil.rmtree(root / "away")
        await registry.refresh()
        write_bare(root, "broken", b"half a graph")
        for _ in range(3):
            await registry.refresh()
        assert not [record for record in log.records if record.levelno >= logging.ERROR]
        monkeypatch.setattr(attempts, "PATIENCE_S", 0.0)
        await registry.refresh()
        assert registry.refused() == [("broken", 1)]

    _play(story, tmp_path, pool)
    assert log.text.count("refused broken/1") == 1


@pytest.mark.parametrize("name", ["golden/1.png", "labels.json", "golden.json", "model.onnx", "notes.txt"])
def test_a_refused_version_is_tried_again_whatever_file_is_mended(
    tmp_path: Path, pool: ThreadPoolExecutor, name: str
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        file = write_brightness(root) / name
        good = file.read_bytes() if file.exists() else None
        file.write_bytes(b"x" * len(good or b"x"))
        await registry.start()
        assert registry.refused() == [("brightness", 1)]
        if good is None:
            file.unlink()
        else:
            file.write_bytes(good)  # as long as it was
        await registry.refresh()
        await registry.refresh()
        assert registry.ready()

    _play(story, tmp_path, pool)


def test_a_projected_volume_is_served_and_its_swap_is_loaded_when_asked(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    def project(stamp: str, graph: bytes) -> None:
        """As a kubelet does: files in a folder with the time in its name, behind a link that is replaced at once."""
        volume = tmp_path / "sum/1"
        (volume / f"..{stamp}").mkdir(parents=True)
        (volume / f"..{stamp}/model.onnx").write_bytes(graph)
        (volume / "..data_tmp").symlink_to(f"..{stamp}")
        (volume / "..data_tmp").replace(volume / "..data")
        if not (volume / "model.onnx").exists():
            (volume / "model.onnx").symlink_to("..data/model.onnx")

    async def story(registry: ModelRegistry, root: Path) -> None:
        project("2026_11_30_12_00_00.1", sum_graph())
        await registry.start()
        first = registry.get("sum")
        assert _states(registry) == {"sum/1": "READY"}
        project("2026_11_30_12_05_00.2", _difference_graph())
        await registry.refresh()
        assert registry.get("sum") is first
        await registry.load("sum")
        assert registry.get("sum") is not first

    _play(story, tmp_path, pool)


def test_what_serves_is_not_loaded_again_while_nothing_changes(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "sum", sum_graph())
        bundle = write_brightness(root)
        await registry.start()
        before = registry.served()
        (bundle / ".model.onnx.Xa12").write_bytes(b"a copier's")
        for _ in range(3):
            await registry.refresh()
            await registry.load("sum")
            await registry.load("brightness")
        assert all(now is then for now, then in zip(registry.served(), before, strict=True))

    _play(story, tmp_path, pool)


# What is wrong with one entry


def test_every_wrong_thing_is_one_line_and_an_index_entry_and_the_good_model_serves(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture
) -> None:
    assert len(WRONG) >= 20

    async def story(registry: ModelRegistry, root: Path) -> None:
        for wrong in WRONG:
            wrong.make(root)
        write_bare(root, "sum", sum_graph())
        await registry.start()
        for _ in range(3):
            await registry.refresh()
        served = [f"{model.name}/{model.version}" for model in registry.served()]
        assert served == ["beside/1", "sum/1", "twins/1"]
        assert registry.steady()
        index = {(entry.name, str(entry.version)): entry for entry in registry.index()}
        for wrong in WRONG:
            entry = index[wrong.name, wrong.version]
            assert (entry.state, wrong.words in entry.reason) == (ModelState.REFUSED, True), entry
        json.dumps([entry.reason for entry in index.values()]).encode()
        refused = {(name, str(version)) for name, version in registry.refused()}
        assert refused == {(wrong.name, wrong.version) for wrong in WRONG if wrong.serious}

    _play(story, tmp_path, pool)
    lines = [record.getMessage() for record in log.records if record.levelno >= logging.WARNING]
    assert len(lines) == len(WRONG)
    for wrong in WRONG:
        known_as = f" {wrong.name}/{wrong.version}".rstrip("/")
        assert sum(wrong.words in line and f"{known_as}:" in line for line in lines) == 1, wrong.kind
    (started,) = (
        record.getMessage() for record in log.records if record.getMessage().startswith("serving 3 models")
    )
    assert started.startswith(
        f"serving 3 models from {tmp_path}: beside/1, sum/1, twins/1; refused: Größe, My Model, "
    )


def test_a_wrong_thing_that_comes_later_is_said_once_and_forgotten_when_it_is_mended(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "sum", sum_graph())
        await registry.start()
        folder = write_bare(root, "lead", sum_graph())
        folder.rename(root / "lead/²")
        for _ in range(4):
            await registry.refresh()
        assert "no version" in _reason(registry, "lead", "²")
        with pytest.raises(ModelNotReady, match="its name is no version"):
            registry.get("lead")
        (root / "lead/²").rename(root / "lead/002")
        await registry.refresh()
        await registry.refresh()
        assert _states(registry) == {"lead/2": "READY", "sum/1": "READY"}

    _play(story, tmp_path, pool)
    assert log.text.count("not served: lead/²") == 1


def test_nothing_served_is_a_warning_that_says_what_was_looked_for(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        await registry.start()
        assert not registry.steady()

    _play(story, tmp_path, pool)
    (record,) = log.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(
        f"serving nothing from {tmp_path}: looked for NAME/VERSION/manifest.json"
    )


@pytest.mark.parametrize(
    "raised", [FileNotFoundError(2, "gone"), RuntimeError("odd"), MemoryError()], ids=repr
)
def test_a_load_that_raises_anything_costs_its_version_only(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture, raised: Exception
) -> None:
    async def story(_: ModelRegistry, root: Path) -> None:
        write_bare(root, "a", sum_graph())
        write_bare(root, "b", sum_graph())
        load = ModelLoader("cpu", None, 1000.0, None, None, ProfileCache(None), pool)
        broken = [True]

        def loader(located: Any) -> Any:
            if located.name == "a" and broken:
                raise raised
            return load(located)

        registry = ModelRegistry(ModelRepository(root), loader)
        await registry.start()
        await registry.refresh()
        assert _states(registry) == {"a/1": "UNAVAILABLE", "b/1": "READY"}
        broken.clear()
        (root / "a/1/model.onnx").touch()
        await registry.refresh()
        await registry.refresh()
        assert registry.ready()

    _play(story, tmp_path, pool)
    assert log.text.count("refused a/1") == 1


@pytest.mark.slow
def test_a_version_deleted_beside_the_one_that_loads_does_not_end_the_watching(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture
) -> None:
    async def story(_: ModelRegistry, root: Path) -> None:
        load = ModelLoader("cpu", None, 1000.0, None, None, ProfileCache(None), pool)

        def loader(located: Any) -> Any:
            if located.version == 3:
                shutil.rmtree(root / "brightness/1")
            if located.version == 5:
                shutil.rmtree(root / "brightness/5")
            return load(located)

        write_brightness(root)
        registry = ModelRegistry(ModelRepository(root), loader)
        await registry.start()
        for version in (3, 4, 5):
            write_brightness(root, version=version)
            await registry.refresh()
        assert registry.get("brightness").version == 4
        await registry.refresh()
        await asyncio.sleep(0.1)
        assert _states(registry) == {"brightness/3": "UNAVAILABLE", "brightness/4": "READY"}

    _play(story, tmp_path, pool)
    assert "Traceback" not in log.text


@pytest.mark.slow
def test_a_deleted_model_gives_its_memory_back_and_nothing_is_raised(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        raised: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        write_brightness(root)
        write_bare(root, "sum", sum_graph())
        await registry.start()
        kept = weakref.ref(registry.get("brightness"))
        session = weakref.ref(registry.get("brightness").predictor.session)
        shutil.rmtree(root / "brightness")
        await registry.refresh()
        await asyncio.sleep(0.1)
        gc.collect()
        assert (kept(), session()) == (None, None)
        assert _states(registry) == {"sum/1": "READY"}
        with pytest.raises(ModelNotFound):
            registry.get("brightness")
        assert not raised

    _play(story, tmp_path, pool)


@pytest.mark.slow
def test_a_path_that_was_asked_before_holds_no_model_that_is_gone(tmp_path: Path) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    write_bare(tmp_path, "other", sum_graph())
    body = {"inputs": [{"name": n, "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]} for n in "xy"]}
    with start(models=tmp_path, poll_s=POLL_S) as server, httpx.Client(base_url=server.url) as http:
        session = weakref.ref(server.app.registry.get("sum").predictor.session)
        for _ in range(3):
            assert http.post("/v2/models/sum/infer", json=body).status_code == 200
        shutil.rmtree(tmp_path / "sum")
        until(lambda: http.post("/v2/models/sum/infer", json=body).status_code == 404, "the model to go")
        until(lambda: gc.collect() >= 0 and session() is None, "its memory", 10)


# The folder as a whole


@pytest.mark.slow
@pytest.mark.parametrize("instead", ["nothing", "an empty folder", "a file"])
def test_what_serves_goes_on_while_the_folder_is_away(
    tmp_path: Path, pool: ThreadPoolExecutor, log: pytest.LogCaptureFixture, instead: str
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_brightness(root)
        write_bare(root, "sum", sum_graph())
        await registry.start()
        before = registry.served()
        _move(root, tmp_path / "away")
        _put(root, instead)
        for _ in range(3):
            await registry.refresh()
            assert registry.ready()
            assert registry.steady()
        _move(tmp_path / "away", root)
        await registry.refresh()
        assert all(now is then for now, then in zip(registry.served(), before, strict=True))
        write_brightness(root, version=2)
        await registry.refresh()
        assert registry.get("brightness").version == 2

    root = tmp_path / "models"
    root.mkdir()
    _play(story, root, pool)
    assert sum(record.levelno == logging.WARNING for record in log.records) == 1
    assert "what serves goes on" in log.text


def test_a_folder_that_was_emptied_is_believed(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "sum", sum_graph())
        await registry.start()
        shutil.rmtree(root / "sum")
        await registry.refresh()
        assert registry.index() == []

    _play(story, tmp_path, pool)


@pytest.mark.slow
def test_looks_go_on_whatever_one_of_them_raises(
    tmp_path: Path,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        faults: list[Exception] = [
            RuntimeError("a bug"),
            OSError(5, "Input/output error"),
            RuntimeError("a bug"),
        ]
        real_look, real_note = ModelRepository.look, FolderWatch.note

        def look(self: ModelRepository) -> Sight:
            if faults:
                raise faults.pop()
            return real_look(self)

        notes: list[Exception] = [KeyError("a bug"), KeyError("a bug")]

        def note(self: FolderWatch, found: Any, *, at_start: bool) -> None:
            if notes:
                raise notes.pop()
            real_note(self, found, at_start=at_start)

        monkeypatch.setattr(ModelRepository, "look", look)
        monkeypatch.setattr(FolderWatch, "note", note)
        write_bare(root, "sum", sum_graph())
        process = Process(registry, None, registry.steady, "cpu", 0.01, InflightBytes(1 << 20))  # type: ignore[arg-type]
        running = asyncio.ensure_future(Alone(process).run())
        while not registry.steady():
            assert not running.done()
            await asyncio.sleep(0.01)
        running.cancel()

    _play(story, tmp_path, pool)
    assert caplog.text.count("KeyError: 'a bug'") == 1


@contextmanager
def _without_roots_rights(models: Path, log: Path, *flags: str) -> Iterator[str]:
    """A server that the system refuses what it refuses to everybody but root."""
    drop = "--bounding-set=-dac_override,-dac_read_search"
    before = [need("setpriv"), drop] if os.getuid() == 0 else []
    port = free_port()
    command = [
        *before,
        sys.executable,
        str(ROOT / "baton.py"),
        "serve",
        "--models",
        str(models),
        "--port",
        str(port),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen([*command, *flags], cwd=ROOT, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: process.poll() is not None or answers(f"{url}/v2/health/ready"), "a ready server")
        assert process.poll() is None, log.read_text()
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_may_not_be_read_costs_itself_and_is_mended_when_it_is_mended(
    tmp_path: Path, workers: int
) -> None:
    models, log = tmp_path / "models", tmp_path / "log"
    write_bare(models, "sum", sum_graph())
    shut = {
        "a model": write_bare(models, "shut", sum_graph()).parent,
        "a version": write_bare(models, "inner", sum_graph()),
        "a file": write_bare(models, "file", sum_graph()) / "model.onnx",
    }
    modes = {path: path.stat().st_mode for path in shut.values()}
    for path in shut.values():
        path.chmod(0)
    try:
        with _without_roots_rights(
            models, log, "--poll-s", str(POLL_S), "--workers", str(workers)
        ) as url, httpx.Client(base_url=url) as http:  # fmt: skip
            index = {entry["name"]: entry for entry in http.post("/v2/repository/index").json()}
            assert index["sum"]["state"] == "READY"
            for name in ("shut", "inner", "file"):
                assert index[name]["state"] == "UNAVAILABLE"
                assert "Permission denied" in index[name]["reason"], index[name]
                assert str(tmp_path) not in index[name]["reason"]
            time.sleep(5 * POLL_S)
            lines = log.read_text().splitlines()
            for name in ("shut", "inner", "file"):
                told = [line for line in lines if f" {name}" in line and "Permission denied" in line]
                assert len(told) == workers, log.read_text()
            for path, mode in modes.items():
                path.chmod(mode)
            names = ("file", "inner", "shut", "sum")
            until(lambda: all(answers(f"{url}/v2/models/{name}/ready") for name in names), "what was mended")
            models.chmod(0)
            time.sleep(3 * POLL_S)
            assert answers(f"{url}/v2/health/ready")
            models.chmod(0o755)
            write_bare(models, "late", sum_graph())
            until(lambda: answers(f"{url}/v2/models/late/ready"), "what was published after it")
    finally:
        models.chmod(0o755)
        for path, mode in modes.items():
            path.chmod(mode)


# Loading again


@pytest.mark.slow
def test_load_takes_the_files_as_they_are_now_and_who_is_under_way_finishes_on_the_old_ones(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        folder = write_bare(root, "sum", sum_graph())
        await registry.start()
        old = registry.get("sum")
        old.batcher.admission.admit(1)
        _overwrite(folder, _difference_graph())
        await registry.refresh()
        assert registry.get("sum") is old
        await registry.load("sum")
        new = registry.get("sum")
        assert registry.get("sum", 1) is new is not old
        assert new.manifest.files != old.manifest.files
        assert old.batcher.admission.pending_rows == 1
        assert _states(registry) == {"sum/1": "READY"}
        assert registry._background.retiring()
        old.batcher.admission.release(1)
        await asyncio.gather(*registry._background.retiring())
        assert registry.get("sum") is new

    _play(story, tmp_path, pool)


def test_load_of_files_that_are_refused_says_so_and_the_old_ones_answer(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        folder = write_bare(root, "sum", sum_graph())
        await registry.start()
        old = registry.get("sum")
        _overwrite(folder, b"broken")
        for _ in range(2):
            with pytest.raises(LoadRefused, match=r"version 1: .*cannot load the graph"):
                await registry.load("sum")
        await registry.refresh()
        assert registry.get("sum") is old
        assert registry.ready()
        assert registry.refused() == []
        assert "what is on disk is refused" in _reason(registry, "sum")
        _overwrite(folder, sum_graph())
        await registry.load("sum")
        assert registry.get("sum") is not old
        assert _reason(registry, "sum") == ""

    _play(story, tmp_path, pool)


@pytest.mark.slow
def test_load_of_a_refused_newest_version_is_refused_though_an_older_one_answers(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "ver", sum_graph())
        await registry.start()
        write_bare(root, "ver", b"broken", version=2)
        with pytest.raises(LoadRefused, match=r"answers as before.*version 2: .*cannot load the graph"):
            await registry.load("ver")
        assert registry.get("ver").version == 1
        await registry.unload("ver")
        with pytest.raises(LoadRefused, match="version 2"):
            await registry.load("ver")
        assert registry.get("ver").version == 1

    _play(story, tmp_path, pool)


def test_load_of_what_is_misplaced_says_why(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "sum", sum_graph())
        await registry.start()
        (root / "torch").mkdir()
        (root / "torch/model.pt").touch()
        with pytest.raises(ModelNotReady, match=r"got model\.pt"):
            await registry.load("torch")
        _move(root, tmp_path / "away")
        with pytest.raises(ModelNotReady, match="folder of models cannot be read"):
            await registry.load("sum")
        assert registry.ready()
        _move(tmp_path / "away", root)

    root = tmp_path / "models"
    root.mkdir()
    _play(story, root, pool)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_load_answers_over_HTTP_for_all_workers(tmp_path: Path, workers: int) -> None:  # noqa: N802
    models = tmp_path / "models"
    folder = write_bare(models, "sum", sum_graph())
    body = {"inputs": [{"name": n, "shape": [1, 3], "datatype": "FP32", "data": [3, 4, 5]} for n in "xy"]}

    def totals(url: str) -> set[float]:
        """What several callers are answered, who are dealt to all workers."""
        found = set()
        for _ in range(4):
            with httpx.Client(base_url=url, timeout=30) as http:
                answer = http.post("/v2/models/sum/infer", json=body)
                found.add(answer.json()["outputs"][0]["data"][0])
        return found

    def load(url: str) -> httpx.Response:
        return httpx.post(f"{url}/v2/repository/models/sum/load", headers=TOKEN, timeout=30)

    with serving(models, tmp_path / "log", workers=workers, admin_token=ADMIN) as server:
        assert totals(server.url) == {6}
        _overwrite(folder, _difference_graph())
        assert load(server.url).status_code == 200
        assert totals(server.url) == {0}
        _overwrite(folder, b"broken")
        for _ in range(2):
            refused = load(server.url)
            assert refused.status_code == 409, refused.text
            assert "cannot load the graph" in refused.json()["error"]
            assert " of 2:" not in refused.json()["error"]
        _overwrite(folder, _difference_graph())
        write_bare(models, "sum", b"broken", version=2)
        refused = load(server.url)
        assert (refused.status_code, "version 2: " in refused.json()["error"]) == (409, True)
        assert totals(server.url) == {0}
        assert answers(f"{server.url}/v2/health/ready")
        shutil.rmtree(models / "sum/2")
        assert load(server.url).status_code == 200
        assert httpx.post(f"{server.url}/v2/repository/models/nobody/load", headers=TOKEN).status_code == 404


# Readiness


def test_a_name_that_never_served_keeps_nobody_away_unless_readiness_is_strict(
    tmp_path: Path, pool: ThreadPoolExecutor
) -> None:
    async def story(registry: ModelRegistry, root: Path) -> None:
        write_bare(root, "bad", b"broken")
        await registry.start()
        assert not registry.steady()
        write_bare(root, "sum", sum_graph())
        await registry.refresh()
        await registry.refresh()
        assert (registry.steady(), registry.ready()) == (True, False)
        assert "cannot load the graph" in registry.problems()["bad"]
        assert registry.refused() == [("bad", 1)]

    _play(story, tmp_path, pool)


@pytest.mark.slow
@pytest.mark.parametrize("strict", [False, True])
def test_readiness_over_HTTP_is_strict_when_it_is_told_to_be(tmp_path: Path, strict: bool) -> None:  # noqa: N802
    write_bare(tmp_path, "sum", sum_graph())
    write_bare(tmp_path, "bad", b"broken")
    with start(models=tmp_path, strict_readiness=strict) as server, httpx.Client(base_url=server.url) as http:
        ready = http.get("/v2/health/ready")
        assert ready.status_code == (503 if strict else 200)
        assert ('baton_model_refused{model="bad",version="1"} 1.0' in http.get("/metrics").text) is True
        assert f"baton_ready {0 if strict else 1}" in http.get("/metrics").text
        if strict:
            assert "cannot load the graph" in ready.json()["models"]["bad"]


# Programs


@contextmanager
def _watched(models: Path, log: Path) -> Iterator[tuple[Any, list[int]]]:
    """A server that looks often, and the statuses of its readiness, asked all the time."""
    with serving(models, log, poll_s=POLL_S) as server:
        statuses: list[int] = []
        asking = [True]

        def ask() -> None:
            with httpx.Client(base_url=server.url, timeout=30) as http:
                while asking:
                    statuses.append(http.get("/v2/health/ready").status_code)
                    time.sleep(0.02)

        with ThreadPoolExecutor(1) as executor:
            asked = executor.submit(ask)
            try:
                yield server, statuses
            finally:
                asking.clear()
                asked.result()


@pytest.mark.slow
def test_three_bundles_that_rsync_brings_slowly_are_served_and_readiness_never_falls(tmp_path: Path) -> None:
    rsync = need("rsync")
    models = tmp_path / "models"
    write_bare(models, "sum", sum_graph())
    bundles = [("fashion", 3), ("retail", 2), ("reviews", 2)]
    with _watched(models, tmp_path / "log") as (server, statuses):
        for name, version in bundles:
            (models / name).mkdir()
            subprocess.run(
                [rsync, "-a", "--bwlimit=3000", str(MODELS / name / str(version)), f"{models / name}/"],
                check=True,
            )
            until(lambda name=name: answers(f"{server.url}/v2/models/{name}/ready"), f"{name} to serve", 30)  # type: ignore[misc]
        assert set(statuses) == {200}
    text = (tmp_path / "log").read_text()
    assert "refused" not in text
    assert "not served" not in text


@pytest.mark.slow
def test_a_bundle_is_served_within_two_looks_after_rsync_has_brought_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rsync = need("rsync")
    looks = [0]
    real = ModelRepository.look

    def look(self: ModelRepository) -> Sight:
        looks[0] += 1
        return real(self)

    monkeypatch.setattr(ModelRepository, "look", look)
    write_bare(tmp_path, "sum", sum_graph())
    with start(models=tmp_path, poll_s=POLL_S) as server:
        registry = server.app.registry
        for version in (1, 2, 3):
            made = write_brightness(tmp_path.with_name(f"{tmp_path.name}-made"), version=version)
            before = looks[0]
            subprocess.run([rsync, "-a", "--bwlimit=2", str(made), f"{tmp_path}/brightness/"], check=True)
            assert looks[0] > before + 2, "it was not copied slowly"
            whole = looks[0]
            until(functools.partial(_serves, registry, "brightness", version), "it", 10)
            # One may have been under way when the last file came.
            assert looks[0] <= whole + 3
            assert registry.steady()


def _make_serve(models: Path, port: int) -> list[str]:
    """What `make serve` runs, with this interpreter."""
    told = subprocess.run(
        ["make", "-n", "serve", f"MODELS={models}", f"PORT={port}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (command,) = (line for line in told.stdout.splitlines() if re.search(r"baton serve ", line))
    return [sys.executable, str(ROOT / "baton.py"), *command.partition("baton ")[2].split()]


@pytest.mark.slow
def test_a_server_that_make_serve_started_picks_up_what_is_published(tmp_path: Path) -> None:
    if shutil.which("make") is None:
        missing("not installed: make")
    write_brightness(tmp_path)
    port = free_port()
    process = subprocess.Popen(_make_serve(tmp_path, port), cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: answers(f"{url}/v2/health/ready"), "a ready server")
        write_brightness(tmp_path, version=2)
        until(lambda: httpx.get(f"{url}/v1/models/brightness").json().get("version") == 2, "version 2", 20)
    finally:
        process.kill()
        process.wait()
