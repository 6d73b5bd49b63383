"""Each function of a look at the folder raises once, wherever it is called, and what is published serves at last."""

import asyncio
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest

from inference.store.repository import ModelRepository
from serving.engine import attempts
from serving.engine.group import Alone, Process
from serving.engine.inflight import InflightBytes
from serving.engine.loading import ModelLoader
from serving.engine.profile import ProfileCache
from serving.engine.registry import ModelRegistry
from tests.bundles import sum_graph, write_bare
from tests.deploy.tools import ROOT

_WINGS = tuple(
    str(ROOT / path)
    for path in (
        *(f"serving/engine/{name}.py" for name in
          ("registry", "folder_watch", "attempts", "table", "background", "memory", "log_once", "loading")),
        "inference/folder.py",
        "inference/store/",
        "inference/triton/reading.py",
    )
)  # fmt: skip
_LOOKS = 60
"""Within which everything serves, though functions have raised in some of them."""
_STORIES = 8
"""In each, every eighth function raises, each once."""


States = dict[tuple[str, int | str], str]


class _Injected(Exception):
    """Raised in the place of a function's own work."""


class _Trace:
    """Has every call of a function of a look told, on the event loop and on the thread that loads."""

    def __init__(self, called: Callable[[FrameType], None], registry: ModelRegistry) -> None:
        self._called, self._threads = called, registry._loading
        self._before = sys.gettrace()  # where coverage is measured

    async def begin(self) -> None:
        """Before each look: Python gives up tracing in a thread in which the tracing function has raised."""
        sys.settrace(self._trace)
        await asyncio.get_running_loop().run_in_executor(self._threads, sys.settrace, self._trace)

    async def end(self) -> None:
        """After each look."""
        sys.settrace(self._before)
        await asyncio.get_running_loop().run_in_executor(self._threads, sys.settrace, None)

    def _trace(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(_WINGS):
            self._called(frame)


def _name(frame: FrameType) -> str:
    return f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_qualname}"


async def _story(root: Path, registry: ModelRegistry, trace: _Trace, meanwhile: Callable[[], None]) -> None:
    """Publish, replace and take away, with looks between."""
    alone = Alone(Process(registry, None, registry.steady, "cpu", 0.0, InflightBytes(1 << 30)))  # type: ignore[arg-type]
    write_bare(root, "old", sum_graph())
    (root / "bad/1").mkdir(parents=True)
    (root / "bad/1/w").symlink_to("nowhere")
    await trace.begin()
    await alone._outlive(registry.start())
    write_bare(root, "old", sum_graph(), version=2)
    write_bare(root, "new", sum_graph())
    for look in range(_LOOKS):
        if look == 3:
            shutil.rmtree(root / "old/1")
            shutil.rmtree(root / "bad")
        await trace.begin()
        await alone._outlive(registry.refresh())
        await trace.end()
        meanwhile()
    await asyncio.gather(*registry._background.retiring(), return_exceptions=True)


def _play(root: Path, called: Callable[[FrameType], None]) -> States:
    with ThreadPoolExecutor(1) as runs:
        loader = ModelLoader("cpu", None, 1000.0, None, None, ProfileCache(None), runs)
        registry = ModelRegistry(ModelRepository(root), loader)
        served: set[str] = set()

        def meanwhile() -> None:
            now = {model.name for model in registry.served()}
            assert served <= now, f"{served - now} answered before"
            served.update(now)

        asyncio.run(_story(root, registry, _Trace(called, registry), meanwhile))
        return {(entry.name, entry.version): entry.state.value for entry in registry.index()}


@pytest.mark.slow
def test_whatever_function_of_a_look_raises_once_everything_serves_at_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "PATIENCE_S", 0.0)
    monkeypatch.setattr(attempts, "_MAX_PAUSE", 1)
    names: dict[str, None] = {}
    expected = _play(tmp_path / "as it is", lambda frame: names.setdefault(_name(frame)))
    assert expected == {("new", 1): "READY", ("old", 2): "READY"}
    assert len(names) > 60
    every = list(names)
    stories = [set(every[first::_STORIES]) for first in range(_STORIES)]
    for number, chosen in enumerate(stories):
        left = set(chosen)

        def raise_once(frame: FrameType, left: set[str] = left) -> None:
            if (name := _name(frame)) in left:
                left.remove(name)
                raise _Injected(name)

        assert _play(tmp_path / str(number), raise_once) == expected, chosen
        assert left < chosen, left
        if left:  # another's fault kept these from being called
            stories.append(left)
