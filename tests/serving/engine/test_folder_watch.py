"""The folder of models, looked at again: a lost mount is no order to stop, and a copy under way is no fault."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from inference.store.layout import Fault
from inference.store.repository import ModelRepository
from serving.engine.folder_watch import FolderWatch, log
from serving.engine.log_once import LogOnce
from tests.bundles import sum_graph, write_bare


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[FolderWatch]:
    (tmp_path / "models").mkdir()
    with ThreadPoolExecutor(1) as threads:
        yield FolderWatch(ModelRepository(tmp_path / "models"), threads, LogOnce(log))


def fault(name: str, reason: str = "no version") -> Fault:
    return Fault(name, "", reason, Path(name))


def run(story: Callable[[], Any]) -> None:
    asyncio.run(story())


def test_a_folder_that_is_away_is_said_once_and_its_return_too(
    watch: FolderWatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "baton.registry")

    async def story() -> None:
        write_bare(tmp_path / "models", "sum", sum_graph())
        await watch.look_again(serves=True)
        (tmp_path / "models").rename(tmp_path / "elsewhere")
        assert await watch.look_again(serves=True) is None
        assert await watch.look_again(serves=True) is None
        (tmp_path / "elsewhere").rename(tmp_path / "models")
        assert await watch.look_again(serves=True) is not None

    run(story)
    away, back = caplog.messages
    assert "cannot be read, and what serves goes on" in away
    assert back == "the folder of models can be read again"


def test_an_empty_folder_in_the_place_of_the_models_is_a_lost_mount_only_while_something_serves(
    watch: FolderWatch, tmp_path: Path
) -> None:
    async def story() -> None:
        folder = write_bare(tmp_path / "models", "sum", sum_graph())
        assert folder.is_dir()
        sight = await watch.look_again(serves=True)
        assert sight is not None
        assert list(sight.versions) == ["sum"]
        (tmp_path / "models").rename(tmp_path / "unmounted")
        (tmp_path / "models").mkdir()
        assert await watch.look_again(serves=True) is None
        assert await watch.look_again(serves=False) is not None

    run(story)


def test_a_folder_that_was_emptied_is_an_order(watch: FolderWatch, tmp_path: Path) -> None:
    async def story() -> None:
        write_bare(tmp_path / "models", "sum", sum_graph())
        await watch.look_again(serves=True)
        (tmp_path / "models/sum").rename(tmp_path / "taken away")
        assert await watch.look_again(serves=True) is not None

    run(story)


def test_a_fault_counts_when_two_looks_agree_and_is_news_again_after_it_was_mended(
    watch: FolderWatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.note([fault("a")], at_start=False)
    assert watch.reasons("a") == []
    watch.note([fault("a")], at_start=False)
    assert watch.reasons("a") == ["no version"]
    watch.note([fault("a")], at_start=False)
    watch.note([fault("a", "another")], at_start=False)
    assert watch.reasons("a") == [], "somebody is at work on it"
    watch.note([], at_start=False)
    watch.note([fault("a")], at_start=False)
    watch.note([fault("a")], at_start=False)
    assert caplog.messages == ["not served: a: no version"] * 2


def test_at_the_start_nobody_copies(watch: FolderWatch) -> None:
    watch.note([fault("a")], at_start=True)
    assert watch.reasons("a") == ["no version"]
