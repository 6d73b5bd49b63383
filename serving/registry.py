"""The models in memory: which versions answer, which were refused and why. On disk they are a repository.

    loading → proving → ready → draining → stopped, or refused

A version is loaded, proved and warmed beside the one that serves, then takes its place in one step; a bad
one never takes traffic, and the old one stays. Everything here but loading runs on the event loop.
"""

import asyncio
import ctypes
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from inference.bundle import MANIFEST_FILE
from inference.errors import BatonError, ModelNotFound, ModelNotReady
from inference.manifest import Manifest
from inference.predictor import Predictor
from inference.repository import ModelRepository
from inference.triton_config import VersionPolicy, config_file
from serving.batching import DynamicBatcher
from serving.drift import Drift
from serving.metrics import ModelMetrics
from serving.profile import Profile

log = logging.getLogger("baton.registry")


class ModelState(StrEnum):
    """A version's state, in the words of the protocol's repository index."""

    LOADING = "LOADING"
    READY = "READY"
    DRAINING = "UNLOADING"
    REFUSED = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A version that the repository holds, served or not."""

    name: str
    version: int
    state: ModelState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A version that answers, with everything that its requests need."""

    name: str
    version: int
    manifest: Manifest
    predictor: Predictor
    batcher: DynamicBatcher
    metrics: ModelMetrics
    profile: Profile
    loaded_at: float
    """Unix time, seconds."""
    inline_bytes: int
    """Payloads up to this size are decoded on the event loop, since the hop to a thread costs more."""
    drift: Drift | None
    """What compares requests with the bundle's reference, where it has one."""
    rest: "Callable[[], Awaitable[Loaded | None]] | None" = None
    """Measures, while it serves, what took too long before; what it gives makes the model that takes its place."""


Loader = Callable[[Path], "Loaded"]
"""Opens, proves and measures one version; runs on a thread and raises `BatonError` to refuse it."""

Loaded = Callable[[], ServedModel]
"""Finishes a load on the event loop, where a batcher has to be made."""

Fingerprint = tuple[int, ...]


class ModelRegistry:
    """What is served now. `get` is called for every request; the rest when something changes."""

    def __init__(self, repository: ModelRepository, loader: Loader, *, every_version: bool = False) -> None:
        """`every_version`: serve all versions of a model, not only its newest good one."""
        self._repository, self._loader, self._every_version = repository, loader, every_version
        self._served: dict[tuple[str, int | None], ServedModel] = {}
        self._index: dict[tuple[str, int], IndexEntry] = {}
        self._refused: dict[tuple[str, int], Fingerprint] = {}
        self._bare: dict[tuple[str, int], Fingerprint] = {}
        self._unloaded: set[str] = set()
        self._changing = asyncio.Lock()
        self._loading = ThreadPoolExecutor(1, thread_name_prefix="load")
        self._retiring: set[asyncio.Task[None]] = set()
        self._resting: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._started = False

    def get(self, name: str, version: int | None = None) -> ServedModel:
        """The model that answers: that version, or the newest served. `ModelNotFound`, `ModelNotReady`."""
        model = self._served.get((name, version))
        if model is None:
            raise self._absent(name, version)
        return model

    def served(self) -> list[ServedModel]:
        """Every version that answers, by name and version."""
        keys = sorted((name, version) for name, version in self._served if version is not None)
        return [self._served[key] for key in keys]

    def index(self) -> list[IndexEntry]:
        """Every version known, refused ones too."""
        return [self._index[key] for key in sorted(self._index)]

    def refused(self) -> list[tuple[str, int]]:
        """The versions that were tried and found wanting, as they stand on disk."""
        return sorted(self._refused)

    def ready(self) -> bool:
        """Whether the first look at the repository is over and everything that should answer does."""
        return self._started and bool(self._served) and not self.problems()

    def problems(self) -> dict[str, str]:
        """Each model that should answer and does not, with the reason; empty when all is well."""
        names = {name for name, _ in self._index} - self._unloaded
        return {name: self._reason(name) for name in sorted(names) if (name, None) not in self._served}

    async def start(self, unloaded: Iterable[str] = ()) -> None:
        """Load everything but what was `unloaded` before; the server listens meanwhile and is not ready."""
        self._unloaded.update(unloaded)
        await self.refresh()
        self._started = True

    async def refresh(self) -> None:
        """Look at the repository again: load what is new beside what serves, swap, retire what has gone."""
        async with self._changing:
            names = self._repository.names()
            for name in names:
                if name not in self._unloaded:
                    await self._bring_up(name)
            for name in {name for name, _ in self._index} - set(names):
                self._retire_all(name)
                self._forget(name)

    async def load(self, name: str) -> None:
        """Load a model that was unloaded or refused, trying its refused versions again; raises the refusal."""
        async with self._changing:
            if not self._repository.versions(name):
                raise ModelNotFound(name)
            self._unloaded.discard(name)
            for key in [key for key in self._refused if key[0] == name]:
                del self._refused[key]
            await self._bring_up(name, at_once=True)
            if (name, None) not in self._served:
                raise ModelNotReady(name, self._reason(name))

    async def unload(self, name: str) -> None:
        """Stop serving a model until it is loaded again; its requests under way finish first."""
        async with self._changing:
            if (name, None) not in self._served:
                raise self._absent(name, None)
            self._unloaded.add(name)
            await asyncio.gather(*self._retire_all(name))

    async def drain(self) -> None:
        """Admit nothing more anywhere, and return when all that was admitted is answered."""
        for resting in list(self._resting.values()):
            resting.cancel()
        await asyncio.gather(*(model.batcher.drain() for model in self.served()), *self._retiring)
        self._loading.shutdown(wait=False, cancel_futures=True)

    async def _bring_up(self, name: str, *, at_once: bool = False) -> None:
        """Serve the newest version that is good (or every one that is), and retire the others."""
        versions = self._repository.versions(name)
        for key in [key for key in self._refused if key[0] == name and key[1] not in versions]:
            del self._refused[key], self._index[key]  # a bad version that was taken away is no fault any more
        policy = self._repository.policy(name) or VersionPolicy(latest=None if self._every_version else 1)
        wanted = policy.versions(versions)
        if versions and not wanted:
            self._refuse_policy(name, policy, versions)
        good: list[int] = []
        for version in reversed(wanted):
            if not at_once and self._may_be_half_copied(name, version):
                continue
            if await self._is_good(name, version):
                good.append(version)
                if len(good) == policy.latest:
                    break
        for version in [version for _, version in self._served_versions(name) if version not in good]:
            if good:  # the old one stays until there is something to take its place
                self._retire(self._served[name, version], forget=version not in versions)

    def _may_be_half_copied(self, name: str, version: int) -> bool:
        """Whether a version should be looked at again: a bundle under way is a bare graph until its manifest comes.

        One that has appeared while the server runs must have stayed as it is from one look to the next.
        """
        key, path = (name, version), self._repository.path(name, version)
        if not self._started or key in self._served or (path / MANIFEST_FILE).exists():
            self._bare.pop(key, None)
            return False
        seen = _fingerprint(path)
        before, self._bare[key] = self._bare.get(key), seen
        return before != seen

    async def _is_good(self, name: str, version: int) -> bool:
        """Load a version unless it is served already or was refused as it stands; whether it is served."""
        key = (name, version)
        if key in self._served:
            return True
        path = self._repository.path(name, version)
        seen = _fingerprint(path)
        if self._refused.get(key) == seen:
            return False
        self._index[key] = IndexEntry(name, version, ModelState.LOADING)
        try:
            loaded = await asyncio.get_running_loop().run_in_executor(self._loading, self._loader, path)
        except BatonError as error:
            self._refuse(key, seen, str(error))
            return False
        except Exception as error:  # one model's fault must not keep the others from loading
            log.exception("loading %s/%s failed", name, version)
            self._refuse(key, seen, f"{type(error).__name__}: {error}")
            return False
        self._refused.pop(key, None)
        self._serve(loaded())
        return True

    def _serve(self, model: ServedModel) -> None:
        key = (model.name, model.version)
        self._served[key] = model
        self._index[key] = IndexEntry(*key, ModelState.READY)
        current = self._served.get((model.name, None))
        if current is None or current.version < model.version:
            self._served[model.name, None] = model
        log.info("serving %s/%s: %s on %s, %s", *key, model.predictor.precision,
                 model.predictor.session.provider, model.batcher.plan)  # fmt: skip
        if model.rest is not None:
            task = asyncio.get_running_loop().create_task(self._measure_rest(model, model.rest))
            self._resting[key] = task
            task.add_done_callback(lambda _: self._resting.pop(key, None))

    async def _measure_rest(self, model: ServedModel, rest: Callable[[], Awaitable[Loaded | None]]) -> None:
        """Put what was measured under way in the model's place, unless it has gone meanwhile."""
        key = (model.name, model.version)
        try:
            renew = await rest()
        except Exception:  # it answers as before, and nothing of a request is lost
            log.exception("%s/%s: measuring under way failed", *key)
            return
        if renew is None or self._served.get(key) is not model:
            return
        renewed = renew()
        self._served[key] = renewed
        if self._served.get((model.name, None)) is model:
            self._served[model.name, None] = renewed
        log.info("%s/%s is measured: %s", *key, renewed.batcher.plan)
        del model, rest, renew, renewed
        await asyncio.get_running_loop().run_in_executor(self._loading, give_memory_back)

    def _refuse(self, key: tuple[str, int], seen: Fingerprint, reason: str) -> None:
        self._refused[key] = seen
        self._index[key] = IndexEntry(*key, ModelState.REFUSED, reason)
        log.error("refused %s/%s: %s", *key, reason)

    def _refuse_policy(self, name: str, policy: VersionPolicy, versions: list[int]) -> None:
        """Say once that none of the versions that a model's `config.pbtxt` wants served is there."""
        key = name, versions[-1]
        reason = f"version_policy: got versions {versions}, wanted one of {list(policy.specific or ())}"
        if key not in self._index or self._index[key].reason != reason:
            self._refuse(key, _fingerprint(self._repository.path(*key)), reason)

    def _retire_all(self, name: str) -> list[asyncio.Task[None]]:
        return [self._retire(model) for _, version in list(self._served_versions(name))
                for model in [self._served[name, version]]]  # fmt: skip

    def _retire(self, model: ServedModel, *, forget: bool = False) -> asyncio.Task[None]:
        """Take a version out of the table at once, and let go of it when its last request is answered."""
        key = (model.name, model.version)
        del self._served[key]
        if key in self._resting:
            self._resting.pop(key).cancel()
        self._index[key] = IndexEntry(*key, ModelState.DRAINING, "replaced or unloaded")
        if self._served.get((model.name, None)) is model:
            newest = max((version for _, version in self._served_versions(model.name)), default=None)
            if newest is None:
                del self._served[model.name, None]
            else:
                self._served[model.name, None] = self._served[model.name, newest]
        task = asyncio.get_running_loop().create_task(self._let_go(model, forget=forget))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return task

    async def _let_go(self, model: ServedModel, *, forget: bool) -> None:
        # It still answers a call that found it in the table just before: a swap refuses nobody.
        await model.batcher.idle()
        key = (model.name, model.version)
        if forget:
            self._index.pop(key, None)
        elif self._index[key].state is ModelState.DRAINING:
            self._index[key] = IndexEntry(*key, ModelState.REFUSED, "not served: replaced or unloaded")
        del model
        await asyncio.get_running_loop().run_in_executor(self._loading, give_memory_back)

    def _served_versions(self, name: str) -> Iterator[tuple[str, int]]:
        for known, version in list(self._served):
            if known == name and version is not None:
                yield known, version

    def _forget(self, name: str) -> None:
        self._unloaded.discard(name)
        for table in (self._index, self._refused, self._bare):
            for key in [key for key in table if key[0] == name]:
                del table[key]

    def _absent(self, name: str, version: int | None) -> BatonError:
        known = [key for key in self._index if key[0] == name and version in (None, key[1])]
        return ModelNotReady(name, self._reason(name)) if known else ModelNotFound(name, version)

    def _reason(self, name: str) -> str:
        newest = max(
            (entry for entry in self._index.values() if entry.name == name), key=lambda each: each.version
        )
        return newest.reason or f"it is {newest.state.value.lower()}"


def _fingerprint(path: Path) -> Fingerprint:
    """Changes when a version is published again: its manifest is written last."""
    manifest = path / MANIFEST_FILE
    files = [manifest] if manifest.exists() else sorted(path.iterdir())
    if config_file(path).exists() and config_file(path) not in files:
        files.append(config_file(path))
    stats = [file.stat() for file in files]
    return tuple(number for stat in stats for number in (stat.st_ino, stat.st_size, stat.st_mtime_ns))


def give_memory_back() -> None:
    """Return to the system what loading or a dropped session leaves, which free() does not: triton server issue 4966.

    What is loaded stays: the collector need not walk over it again and again while requests are answered.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (OSError, AttributeError):  # another C library than glibc
            return
