"""The folder of models, looked at again and again: its versions, and the faults that nobody is mending just now."""

import asyncio
import logging
from collections.abc import Iterable
from concurrent.futures import Executor

from inference.folder import said_of
from inference.store.layout import Fault
from inference.store.repository import ModelRepository, Sight
from serving.engine.log_once import LogOnce

log = logging.getLogger("baton.registry")

_FOLDER = ("", "")
"""In the place of a model and its version: the folder itself."""


class FolderWatch:
    """Looks on a thread, since a disk may hang or be a network's; everything else runs on the event loop."""

    def __init__(self, repository: ModelRepository, threads: Executor, once: LogOnce) -> None:
        self._repository, self._threads, self._once = repository, threads, once
        self._glimpsed: dict[tuple[str, str], Fault] = {}
        self.misplaced: dict[tuple[str, str], Fault] = {}
        """The faults that were the same at two looks, so that no copier is at work on them."""
        self._root = (0, 0)

    async def look(self) -> Sight:
        """Everything on disk; `OSError` where the folder cannot be read."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._repository.look)

    async def look_again(self, *, serves: bool) -> Sight | None:
        """Everything on disk; None where the folder is away, so that nobody knows which models have gone.

        `serves`: a model answers, so that an empty folder is more likely a lost mount than an order to stop.
        """
        try:
            sight = await self.look()
        except Exception as error:
            said = said_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            self._warn(f"the folder of models cannot be read, and what serves goes on: {said}")
            return None
        if not sight.versions and serves and sight.root != self._root:
            # The mount is lost: the bare mount point lies there, or an empty folder in the place of the old one.
            self._warn(
                "another folder lies in the place of the models', with none in it; what serves goes on"
            )
            return None
        if self._once.forget(_FOLDER):
            log.info("the folder of models can be read again")
        if sight.versions:
            self._root = sight.root
        return sight

    def note(self, faults: Iterable[Fault], *, at_start: bool) -> None:
        """Say each fault once, when no copier is at work on it. `at_start`: nothing is copied yet."""
        found = {(fault.name, fault.version): fault for fault in faults}
        for key in self._glimpsed.keys() - found.keys():
            self._once.forget(key)
        self.misplaced = {
            key: fault for key, fault in found.items() if at_start or self._glimpsed.get(key) == fault
        }
        self._glimpsed = found
        for key, fault in self.misplaced.items():
            self._once.say(key, logging.WARNING, f"not served: {fault}: {fault.reason}")

    def reasons(self, name: str) -> list[str]:
        """The faults of a model of which no version can be looked at."""
        return [fault.reason for key, fault in self.misplaced.items() if key[0] == name]

    def _warn(self, message: str) -> None:
        self._once.say(_FOLDER, logging.WARNING, message)
