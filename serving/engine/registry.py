"""The models in memory: which versions answer, which were refused and why. On disk they are a repository.

    loading → proving → ready → draining → stopped, or refused

A version is loaded, proved and warmed beside the one that serves, then takes its place in one step; a bad
one never takes traffic, and the old one stays. What goes wrong with one of them costs that one, is said once, and is
looked at again. Everything here but loading and looking runs on the event loop.
"""

import asyncio
import ctypes
import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from inference.errors import (
    BatonError,
    BundleRefused,
    ConfigInvalid,
    DigestMismatch,
    FileMissing,
    FileUnknown,
    LoadRefused,
    ManifestInvalid,
    ModelNotFound,
    ModelNotReady,
)
from inference.folder import Fingerprint, said_of, shown
from inference.manifest import Manifest
from inference.predictor import Predictor
from inference.store.layout import Fault
from inference.store.located import GRAPH_FILE, MANIFEST_FILE, Located
from inference.store.repository import ModelRepository, Sight
from inference.triton.config import VersionPolicy
from serving.engine.batching import DynamicBatcher
from serving.engine.drift import Drift
from serving.engine.metrics import ModelMetrics
from serving.engine.profile import Profile

log = logging.getLogger("baton.registry")


_Found = TypeVar("_Found")


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
    version: int | str
    """A word for what lies where a version should: its folder's name, or nothing where a whole model is meant."""
    state: ModelState
    reason: str = ""


def in_order(key: tuple[str, int | str]) -> tuple[str, bool, Any]:
    """Sorts by name, then by version, words after numbers."""
    name, version = key
    return name, isinstance(version, str), version


@dataclass(frozen=True, slots=True, weakref_slot=True)
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


Loader = Callable[[Located], "Loaded"]
"""Opens, proves and measures one version; runs on a thread and raises `BatonError` to refuse it."""

Loaded = Callable[[], ServedModel]
"""Finishes a load on the event loop, where a batcher has to be made."""

Key = tuple[str, int]

_ITSELF = 0
"""In the place of a version: what is said of the model itself."""

_MAY_BE_INCOMPLETE = (FileMissing, FileUnknown, DigestMismatch, ManifestInvalid, OSError)
"""What a copier's work looks like before its end."""


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A version that was tried and found wanting."""

    seen: Fingerprint
    """Its files as they were before."""
    reason: str
    again: bool
    """It is tried at every look: what failed was reading it, which may mend itself without a change."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A version whose files were changing when it was last looked at."""

    seen: Fingerprint
    until_still: bool
    """It is opened only when it has stayed as it is from one look to the next; else whenever it has changed."""


class ModelRegistry:
    """What is served now. `get` is called for every request; the rest when something changes."""

    def __init__(
        self, repository: ModelRepository, loader: Loader, *, every_version: bool = False, threads: int = 1
    ) -> None:
        """`every_version`: serve all versions of a model, not only its newest good one.

        `threads`: models that are loaded side by side; the versions of one come one after the other.
        """
        self._repository, self._loader, self._every_version = repository, loader, every_version
        self._served: dict[tuple[str, int | None], ServedModel] = {}
        self._files: dict[Key, Fingerprint] = {}
        """Of what is served, as they were before it was loaded."""
        self._index: dict[Key, IndexEntry] = {}
        self._refused: dict[Key, _Refusal] = {}
        self._waiting: dict[Key, _Waiting] = {}
        self._glimpsed: dict[tuple[str, str], Fault] = {}
        self._misplaced: dict[tuple[str, str], Fault] = {}
        """Of what was glimpsed, what was the same twice, so that no copier is at work on it."""
        self._said: dict[tuple[str, int | str], str] = {}
        """What was last logged of an entry, which is not said again at every look."""
        self._unloaded: set[str] = set()
        self._answered: set[str] = set()
        """The models that have served, and are neither unloaded nor taken away."""
        self._root = (0, 0)
        self._changing = asyncio.Lock()
        self._loading = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._retiring: set[asyncio.Task[None]] = set()
        self._resting: dict[Key, asyncio.Task[None]] = {}
        self._started = self._draining = False

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
        """Every version known, refused ones too, and what lies where no version can be."""
        entries: list[IndexEntry] = list(self._index.values())
        entries += [
            IndexEntry(*key, ModelState.REFUSED, fault.reason) for key, fault in self._misplaced.items()
        ]
        return sorted(entries, key=lambda entry: in_order((entry.name, entry.version)))

    def refused(self) -> list[tuple[str, int | str]]:
        """The versions that were tried and found wanting, as they stand on disk, and what was meant to be one."""
        meant = [key for key, fault in self._misplaced.items() if fault.serious]
        return sorted([*(key for key in self._refused if key not in self._served), *meant], key=in_order)

    def ready(self) -> bool:
        """Whether the first look at the repository is over and everything in it answers."""
        return self._started and bool(self._served) and not self.problems()

    def steady(self) -> bool:
        """Whether the first look is over, something answers, and so does everything that did before.

        A name that is new and does not answer yet, or never will, is no reason to send requests elsewhere.
        """
        return (
            self._started
            and bool(self._served)
            and all((name, None) in self._served for name in self._answered)
        )

    @property
    def started(self) -> bool:
        """Whether the first look is over."""
        return self._started

    def problems(self) -> dict[str, str]:
        """Each model that should answer and does not, with the reason; empty when all is well."""
        names = {name for name, _ in self._index}
        names |= {name for (name, _), fault in self._misplaced.items() if fault.serious}
        wanting = sorted(name for name in names - self._unloaded if (name, None) not in self._served)
        return {name: self._reason(name) for name in wanting}

    async def start(self, unloaded: Iterable[str] = ()) -> None:
        """Load everything but what was `unloaded` before; the server listens meanwhile and is not ready.

        Where the folder cannot be read, the first look that can is the start.
        """
        self._unloaded.update(unloaded)
        await self.refresh()

    async def refresh(self) -> None:
        """Look at the repository again: load what is new beside what serves, swap, retire what has gone.

        What cannot be looked at costs nobody else anything, and is looked at again: this raises nothing of its own.
        """
        async with self._changing:
            if self._draining:
                return
            sight = await self._look()
            if sight is None:
                return
            for name, versions in sight.versions.items():
                self._forget_gone(name, versions)
            await asyncio.gather(
                *(
                    self._attend(name, versions, sight.policies.get(name))
                    for name, versions in sight.versions.items()
                    if name not in self._unloaded
                )
            )
            self._note(sight.faults)
            for name in {name for name, _ in self._known()} - sight.versions.keys() - sight.unreadable:
                self._retire_all(name)
                self._forget(name)
            if not self._started:
                self._started = True
                self._say_what_serves()

    async def load(self, name: str) -> None:
        """Load a model as it is on disk, again where its files have changed; requests under way finish on the old one.

        `ModelNotFound`; `ModelNotReady` with the refusal; `LoadRefused` where what served before goes on serving.
        """
        async with self._changing:
            if self._draining:
                raise ModelNotReady(name, "the server is draining")
            try:
                sight = await self._on_thread(self._repository.look)
            except OSError as error:
                raise ModelNotReady(name, f"the folder of models cannot be read: {said_of(error)}") from error
            versions = sight.versions.get(name)
            if versions is None:
                faults = [fault.reason for fault in sight.faults if fault.name == name]
                raise ModelNotReady(name, "; ".join(faults)) if faults else ModelNotFound(name)
            self._unloaded.discard(name)
            failures = await self._bring_up(name, versions, sight.policies.get(name), at_once=True)
            said = "; ".join(f"version {version}: {reason}" for version, reason in failures.items())
            if (name, None) not in self._served:
                raise ModelNotReady(name, said or self._reason(name))
            if said:
                raise LoadRefused(name, said)

    async def unload(self, name: str) -> None:
        """Stop serving a model until it is loaded again; its requests under way finish first."""
        async with self._changing:
            if (name, None) not in self._served:
                raise self._absent(name, None)
            self._unloaded.add(name)
            self._answered.discard(name)
            await asyncio.gather(*self._retire_all(name))

    async def drain(self) -> None:
        """Admit nothing more anywhere, and return when all that was admitted is answered."""
        self._draining = True
        for resting in list(self._resting.values()):
            resting.cancel()
        await asyncio.gather(*(model.batcher.admission.drain() for model in self.served()), *self._retiring)
        self._loading.shutdown(wait=False, cancel_futures=True)

    async def _on_thread(self, act: Callable[[], _Found]) -> _Found:
        """A disk may hang, or be a network's: no request waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self._loading, act)

    async def _look(self) -> Sight | None:
        """What is on disk; None where the folder is away, so that nothing is known of what has gone."""
        try:
            sight = await self._on_thread(self._repository.look)
        except Exception as error:
            said = said_of(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            self._say(
                ("", ""),
                logging.WARNING,
                f"the folder of models cannot be read, and what serves goes on: {said}",
            )
            return None
        if not sight.versions and self._served and sight.root != self._root:
            # What was mounted is not: the mount point lies there, or an empty folder in the place of the old one.
            said = "another folder lies in the place of the models', with none in it; what serves goes on"
            self._say(("", ""), logging.WARNING, said)
            return None
        if self._said.pop(("", ""), None) is not None:
            log.info("the folder of models can be read again")
        if sight.versions:
            self._root = sight.root
        return sight

    async def _attend(self, name: str, versions: Mapping[int, Located], policy: VersionPolicy | None) -> None:
        """Bring up one model; whatever happens there is this model's, and the next one's turn comes."""
        try:
            await self._bring_up(name, versions, policy)
        except Exception as error:
            reason = f"looking at it failed: {type(error).__name__}: {error}"
            self._say((name, _ITSELF), logging.ERROR, f"{name}: {reason}", traceback=True)
            if (newest := (name, max(versions))) not in self._served:
                self._index[newest] = IndexEntry(*newest, ModelState.REFUSED, shown(reason))
        else:
            self._said.pop((name, _ITSELF), None)

    async def _bring_up(
        self,
        name: str,
        versions: Mapping[int, Located],
        policy: VersionPolicy | None,
        *,
        at_once: bool = False,
    ) -> dict[int, str]:
        """Serve the newest version that is good (or every one that is), and retire the others.

        Returns why each version that was tried is not served as it is on disk. `at_once`: somebody asked for it, so
        nothing is waited for, and what is refused or serves is tried again where its files have changed.
        """
        failures: dict[int, str] = {}
        good: list[int] = []
        bundled = any(located.graph_file is None for located in versions.values())
        policy = policy or VersionPolicy(latest=None if self._every_version else 1)
        expected = policy.versions([*versions])
        if not expected:
            failures |= await self._refuse_policy(policy, versions)
        for version in reversed(expected):
            reason = await self._try(versions[version], bundled=bundled, at_once=at_once)
            if reason is not None:
                failures[version] = reason
            if (name, version) in self._served:
                good.append(version)
                if len(good) == policy.latest:
                    break
        for version in [version for _, version in self._served_versions(name) if version not in good]:
            if good:  # the old one stays until there is something to take its place
                self._retire(self._served[name, version], forget=version not in versions)
        return failures

    async def _try(self, located: Located, *, bundled: bool, at_once: bool) -> str | None:
        """Load a version unless it is served or was refused as it stands; why it is not served so.

        `bundled`: the model has versions with a manifest, so that one without is taken for half a bundle.
        """
        key = (located.name, located.version)
        served = self._served.get(key)
        if served is not None and not at_once and not _has_got_a_manifest(served, located):
            return None
        seen = await self._on_thread(located.files)
        if served is not None and _counted(seen) == _counted(self._files[key]):
            self._refused.pop(key, None)  # where it was changed, it was changed back
            self._index[key] = IndexEntry(*key, ModelState.READY)
            return None
        refusal = self._refused.get(key)
        if refusal is not None and refusal.seen == seen and not refusal.again and not at_once:
            return refusal.reason
        changes = self._started and not at_once and not self._lies_still(key, seen)
        if changes and self._must_lie_still(located):
            return self._wait(located, seen, "its files are being written")
        if served is None and (refusal is None or refusal.seen != seen or at_once):
            self._index[key] = IndexEntry(*key, ModelState.LOADING)
        try:
            if bundled and located.graph_file is not None and served is None and not at_once:
                raise FileMissing(located.path, f"no {MANIFEST_FILE} is there, which other versions have")
            loaded = await self._on_thread(lambda: self._loader(located))
            model = loaded()
        except Exception as error:  # one model's fault must not keep the others from loading
            if changes and isinstance(error, _MAY_BE_INCOMPLETE):
                return self._wait(located, seen, _said(error), until_still=isinstance(error, DigestMismatch))
            return self._refuse(key, seen, error)
        self._serve(model, seen)
        return None

    def _lies_still(self, key: Key, seen: Fingerprint) -> bool:
        """Whether a version is as it was at the last look."""
        before = self._waiting.get(key) or self._refused.get(key)
        return before is not None and before.seen == seen

    def _must_lie_still(self, located: Located) -> bool:
        """Whether a version may not be opened while it changes: half a bundle looks like a graph of somebody else's.

        Where there is a manifest, opening it tells whether all files are there; only digests are dear.
        """
        waiting = self._waiting.get((located.name, located.version))
        return located.graph_file is not None or (waiting is not None and waiting.until_still)

    def _wait(self, located: Located, seen: Fingerprint, reason: str, *, until_still: bool = False) -> str:
        key = (located.name, located.version)
        known, before = key in self._known(), self._waiting.get(key)
        self._waiting[key] = _Waiting(seen, until_still or (before is not None and before.until_still))
        self._refused.pop(key, None)
        reason = f"it changes, and is looked at again: {shown(reason)}"
        if key not in self._served and (known or located.graph_file is None):
            self._index[key] = IndexEntry(*key, ModelState.REFUSED, reason)
        if self._said.get(key) is None:
            self._say(key, logging.INFO, f"waiting for {located.name}/{located.version} to be complete")
        return reason

    def _note(self, faults: Iterable[Fault]) -> None:
        """What lies where no version can be is said once, when no copier is at work on it."""
        found = {(fault.name, fault.version): fault for fault in faults}
        for key in self._glimpsed.keys() - found.keys():
            self._said.pop(key, None)
        self._misplaced = {
            key: fault
            for key, fault in found.items()
            if not self._started or self._glimpsed.get(key) == fault
        }
        self._glimpsed = found
        for key, fault in self._misplaced.items():
            self._say(key, logging.WARNING, f"not served: {fault}: {fault.reason}")

    def _say(self, key: tuple[str, int | str], level: int, message: str, *, traceback: bool = False) -> None:
        """Log what is to be said of an entry, unless it is what was said last."""
        if self._said.get(key) != message:
            self._said[key] = message
            log.log(level, "%s", shown(message), exc_info=traceback)

    def _say_what_serves(self) -> None:
        """One line at the start, for whoever wonders whether this is the folder that was meant."""
        root = shown(str(self._repository.root))
        refused = ", ".join(f"{name}/{version}".rstrip("/") for name, version in self.refused())
        behind = f"; refused: {refused}" if refused else ""
        names = {model.name for model in self.served()}
        if not names:
            log.warning("serving nothing from %s: looked for NAME/VERSION/%s, NAME/VERSION/%s and NAME/%s%s",
                        root, MANIFEST_FILE, GRAPH_FILE, GRAPH_FILE, behind)  # fmt: skip
            return
        served = ", ".join(f"{model.name}/{model.version}" for model in self.served())
        log.info("serving %d model%s from %s: %s%s", len(names), "s" * (len(names) > 1), root, served, behind)

    def _serve(self, model: ServedModel, files: Fingerprint) -> None:
        """From now on it answers; what it takes the place of finishes what it has."""
        key = (model.name, model.version)
        old = self._served.get(key)
        self._served[key], self._files[key] = model, files
        self._index[key] = IndexEntry(*key, ModelState.READY)
        self._answered.add(model.name)
        for table in (self._refused, self._waiting, self._said):
            table.pop(key, None)
        current = self._served.get((model.name, None))
        if current is None or current.version <= model.version:
            self._served[model.name, None] = model
        log.info("serving %s/%s: %s on %s, %s", *key, model.predictor.precision,
                 model.predictor.session.provider, model.batcher.plan.in_words)  # fmt: skip
        if old is not None:
            self._begin_to_let_go(old, forget=False)
        self._measure_rest(model)

    def _measure_rest(self, model: ServedModel) -> None:
        """Begin to measure under way what took too long before it served."""
        if model.rest is None:
            return
        key = (model.name, model.version)
        task = asyncio.get_running_loop().create_task(self._measured(model, model.rest))
        self._resting[key] = task

        def ended(done: asyncio.Task[None]) -> None:
            if self._resting.get(key) is done:
                del self._resting[key]

        task.add_done_callback(ended)

    async def _measured(self, model: ServedModel, rest: Callable[[], Awaitable[Loaded | None]]) -> None:
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
        log.info("%s/%s is measured: %s", *key, renewed.batcher.plan.in_words)
        del model, rest, renew, renewed
        await asyncio.get_running_loop().run_in_executor(self._loading, give_memory_back)

    async def _refuse_policy(self, policy: VersionPolicy, versions: Mapping[int, Located]) -> dict[int, str]:
        """None of the versions that a model's `config.pbtxt` wants served is there."""
        newest = versions[max(versions)]
        reason = (
            f"version_policy: got versions {sorted(versions)}, expected one of {list(policy.specific or ())}"
        )
        seen = await self._on_thread(newest.files)
        key = (newest.name, newest.version)
        return {newest.version: self._refuse(key, seen, ConfigInvalid(newest.path, reason))}

    def _refuse(self, key: Key, seen: Fingerprint, error: Exception) -> str:
        """Remember that a version was found wanting; what served before goes on."""
        reason = shown(_said(error))
        self._waiting.pop(key, None)
        self._refused[key] = _Refusal(seen, reason, again=isinstance(error, OSError))
        if key in self._served:
            self._index[key] = IndexEntry(*key, ModelState.READY, f"what is on disk is refused: {reason}")
        else:
            self._index[key] = IndexEntry(*key, ModelState.REFUSED, reason)
        unexpected = not isinstance(error, BatonError | OSError)
        # The line names the bundle itself, which the reason does for who asks.
        why = shown(error.reason) if isinstance(error, BundleRefused) else reason
        self._say(key, logging.ERROR, f"refused {key[0]}/{key[1]}: {why}", traceback=unexpected)
        return reason

    def _retire_all(self, name: str) -> list[asyncio.Task[None]]:
        return [self._retire(model) for _, version in list(self._served_versions(name))
                for model in [self._served[name, version]]]  # fmt: skip

    def _retire(self, model: ServedModel, *, forget: bool = False) -> asyncio.Task[None]:
        """Take a version out of the table at once, and let go of it when its last request is answered."""
        key = (model.name, model.version)
        del self._served[key], self._files[key]
        self._index[key] = IndexEntry(*key, ModelState.DRAINING, "replaced or unloaded")
        if self._served.get((model.name, None)) is model:
            newest = max((version for _, version in self._served_versions(model.name)), default=None)
            if newest is None:
                del self._served[model.name, None]
            else:
                self._served[model.name, None] = self._served[model.name, newest]
        return self._begin_to_let_go(model, forget=forget)

    def _begin_to_let_go(self, model: ServedModel, *, forget: bool) -> asyncio.Task[None]:
        resting = self._resting.get((model.name, model.version))
        if resting is not None and self._served.get((model.name, model.version)) is not model:
            resting.cancel()
        task = asyncio.get_running_loop().create_task(self._let_go(model, forget=forget))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        return task

    async def _let_go(self, model: ServedModel, *, forget: bool) -> None:
        # It still answers a call that found it in the table just before: a swap refuses nobody.
        await model.batcher.admission.idle()
        key = (model.name, model.version)
        entry = self._index.get(key)
        # Unless it serves again, or is forgotten.
        if entry is not None and entry.state is ModelState.DRAINING:
            if forget:
                self._forget_version(key)
            else:
                self._index[key] = IndexEntry(*key, ModelState.REFUSED, "not served: replaced or unloaded")
        del model
        await asyncio.get_running_loop().run_in_executor(self._loading, give_memory_back)

    def _served_versions(self, name: str) -> Iterator[tuple[str, int]]:
        for known, version in list(self._served):
            if known == name and version is not None:
                yield known, version

    def _known(self) -> set[Key]:
        """Every version that was ever looked at and is not forgotten."""
        return {*self._index, *self._refused, *self._waiting}

    def _forget(self, name: str) -> None:
        self._unloaded.discard(name)
        self._answered.discard(name)
        self._said.pop((name, _ITSELF), None)
        for key in self._known():
            if key[0] == name:
                self._forget_version(key)

    def _forget_gone(self, name: str, versions: Mapping[int, Located]) -> None:
        """A bad version that was taken away is no fault any more."""
        for key in self._known():
            if key[0] == name and key[1] not in versions and key not in self._served:
                entry = self._index.get(key)
                if entry is None or entry.state is not ModelState.DRAINING:
                    self._forget_version(key)

    def _forget_version(self, key: Key) -> None:
        for table in (self._index, self._refused, self._waiting, self._said):
            table.pop(key, None)

    def _absent(self, name: str, version: int | None) -> BatonError:
        known = any(key[0] == name and version in (None, key[1]) for key in self._index)
        meant = any(key[0] == name and fault.serious for key, fault in self._misplaced.items())
        if known or (meant and version is None):
            return ModelNotReady(name, self._reason(name))
        return ModelNotFound(name, version)

    def _reason(self, name: str) -> str:
        newest = max((key for key in self._index if key[0] == name), default=None)
        if newest is None:
            return "; ".join(fault.reason for key, fault in self._misplaced.items() if key[0] == name)
        return self._index[newest].reason or f"it is {self._index[newest].state.value.lower()}"


def _has_got_a_manifest(served: ServedModel, located: Located) -> bool:
    """Whether what was taken for a graph of somebody else's was a bundle, whose manifest came late."""
    return served.predictor.bundle.derived and located.graph_file is None


def _counted(seen: Fingerprint) -> Fingerprint:
    return tuple(state for state in seen if state.counts)


def _said(error: Exception) -> str:
    """What went wrong, in words for the log and the index."""
    if isinstance(error, OSError):
        return f"it cannot be read: {said_of(error)}"
    return str(error) if isinstance(error, BatonError) else f"{type(error).__name__}: {error}"


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
