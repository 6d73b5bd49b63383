"""The models in memory: versions are loaded, served, retired and refused here. On disk they are a repository.

    loading → proving → ready → draining → stopped, or refused

A version is loaded, proved and warmed beside the one that serves, then takes its place in one step. A bad one never
takes traffic, and the old one stays. A fault costs the one version that has it, is said once, and is looked at again.
Everything here but loading and looking runs on the event loop.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from inference.errors import (
    BatonError,
    BundleRefused,
    ConfigInvalid,
    FileMissing,
    LoadRefused,
    ModelNotFound,
    ModelNotReady,
)
from inference.folder import Fingerprint, said_of, shown
from inference.store.located import GRAPH_FILE, MANIFEST_FILE, Located
from inference.store.repository import ModelRepository
from inference.triton.config import VersionPolicy
from serving.engine.attempts import Attempts
from serving.engine.background import Background
from serving.engine.folder_watch import FolderWatch
from serving.engine.log_once import LogOnce
from serving.engine.served_model import (
    IndexEntry,
    Key,
    Loader,
    ModelState,
    ServedModel,
    in_order,
)
from serving.engine.table import ModelTable

log = logging.getLogger("baton.registry")

_Found = TypeVar("_Found")

_ITSELF = 0
"""In the place of a version: the log line is about the model itself."""


class ModelRegistry:
    """The models that answer now. `get` is called for every request; the rest when something changes."""

    def __init__(
        self, repository: ModelRepository, loader: Loader, *, every_version: bool = False, threads: int = 1
    ) -> None:
        """`every_version`: serve all versions of a model, not only its newest good one.

        `threads`: models that are loaded side by side; the versions of one come one after the other.
        """
        self._root, self._loader, self._every_version = repository.root, loader, every_version
        self._loading = ThreadPoolExecutor(threads, thread_name_prefix="load")
        self._once = LogOnce(log)
        self._table, self._attempts = ModelTable(), Attempts()
        self._answering = self._table.answering  # at hand for `get`, which is called for every request
        self._background = Background(self._table, self._loading, self._forget_version)
        self._folder = FolderWatch(repository, self._loading, self._once)
        self._files: dict[Key, Fingerprint] = {}
        """Of the versions that serve, as they were before they were loaded."""
        self._unloaded: set[str] = set()
        self._changing = asyncio.Lock()
        self._started = self._draining = False

    def get(self, name: str, version: int | None = None) -> ServedModel:
        """The model that answers: that version, or the newest served. `ModelNotFound`, `ModelNotReady`."""
        model = self._answering.get((name, version))
        if model is None:
            raise self._absent(name, version)
        return model

    def served(self) -> list[ServedModel]:
        """Every version that answers, by name and version."""
        return self._table.served()

    def index(self) -> list[IndexEntry]:
        """Every version known, refused ones too, and the faults that lie where no version can be."""
        entries: list[IndexEntry] = list(self._table.index.values())
        entries += [
            IndexEntry(*key, ModelState.REFUSED, fault.reason)
            for key, fault in self._folder.misplaced.items()
        ]
        return sorted(entries, key=lambda entry: in_order((entry.name, entry.version)))

    def refused(self) -> list[tuple[str, int | str]]:
        """The versions that were tried and refused, as they stand on disk, and the faults meant to be one."""
        meant = [key for key, fault in self._folder.misplaced.items() if fault.serious]
        tried = [key for key in self._attempts.refused() if key not in self._answering]
        return sorted([*tried, *meant], key=in_order)

    def ready(self) -> bool:
        """Whether the first look at the repository is over and everything in it answers."""
        return self._started and bool(self._answering) and not self.problems()

    def steady(self) -> bool:
        """Whether the first look is over, something answers, and so does everything that did before.

        A name that is new and does not answer yet, or never will, is no reason to send requests elsewhere.
        """
        return self._started and bool(self._answering) and self._table.all_that_answered_do()

    @property
    def started(self) -> bool:
        """Whether the first look is over."""
        return self._started

    def problems(self) -> dict[str, str]:
        """Each model that should answer and does not, with the reason; empty when all is well."""
        names = {name for name, _ in self._table.index}
        names |= {name for (name, _), fault in self._folder.misplaced.items() if fault.serious}
        missing = sorted(name for name in names - self._unloaded if not self._answers(name))
        return {name: self._reason(name) for name in missing}

    async def start(self, unloaded: Iterable[str] = ()) -> None:
        """Load every model but those `unloaded` before; the server listens meanwhile and is not ready.

        Where the folder cannot be read, the first look that can is the start.
        """
        self._unloaded.update(unloaded)
        await self.refresh()

    async def refresh(self) -> None:
        """Look at the repository again: load new versions beside those that serve, swap, retire those that have gone.

        An entry that cannot be looked at costs no other entry anything, and is looked at again. Nothing is raised
        for it.
        """
        async with self._changing:
            if self._draining:
                return
            sight = await self._folder.look_again(serves=bool(self._answering))
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
            self._folder.note(sight.faults, at_start=not self._started)
            for name in {name for name, _ in self._known()} - sight.versions.keys() - sight.unreadable:
                self._retire_all(name)
                self._forget(name)
            if not self._started:
                self._started = True
                self._say_what_serves()

    async def load(self, name: str) -> None:
        """Load a model as it is on disk, again where its files have changed; requests under way finish on the old one.

        `ModelNotFound`; `ModelNotReady` with the refusal; `LoadRefused` where the version of before still serves.
        """
        async with self._changing:
            if self._draining:
                raise ModelNotReady(name, "the server is draining")
            try:
                sight = await self._folder.look()
            except OSError as error:
                raise ModelNotReady(name, f"the folder of models cannot be read: {said_of(error)}") from error
            versions = sight.versions.get(name)
            if versions is None:
                faults = [fault.reason for fault in sight.faults if fault.name == name]
                raise ModelNotReady(name, "; ".join(faults)) if faults else ModelNotFound(name)
            self._unloaded.discard(name)
            failures = await self._bring_up(name, versions, sight.policies.get(name), at_once=True)
            said = "; ".join(f"version {version}: {reason}" for version, reason in failures.items())
            if not self._answers(name):
                raise ModelNotReady(name, said or self._reason(name))
            if said:
                raise LoadRefused(name, said)

    async def unload(self, name: str) -> None:
        """Stop serving a model until it is loaded again; its requests under way finish first."""
        async with self._changing:
            if not self._answers(name):
                raise self._absent(name, None)
            self._unloaded.add(name)
            self._table.forget_model(name)
            await asyncio.gather(*self._retire_all(name))

    async def drain(self) -> None:
        """Admit nothing more anywhere, and return when all that was admitted is answered."""
        self._draining = True
        self._background.stop_measuring()
        draining = (model.batcher.admission.drain() for model in self.served())
        await asyncio.gather(*draining, *self._background.retiring())
        self._loading.shutdown(wait=False, cancel_futures=True)

    def _answers(self, name: str) -> bool:
        return (name, None) in self._answering

    async def _on_thread(self, act: Callable[[], _Found]) -> _Found:
        """A disk may hang, or be a network's: no request waits for it."""
        return await asyncio.get_running_loop().run_in_executor(self._loading, act)

    async def _attend(self, name: str, versions: Mapping[int, Located], policy: VersionPolicy | None) -> None:
        """Bring up one model; whatever happens there is this model's, and the next one's turn comes."""
        try:
            await self._bring_up(name, versions, policy)
        except Exception as error:
            reason = f"looking at it failed: {type(error).__name__}: {error}"
            self._once.say((name, _ITSELF), logging.ERROR, f"{name}: {reason}", traceback=True)
            if (newest := (name, max(versions))) not in self._answering:
                self._table.mark(newest, ModelState.REFUSED, shown(reason))
        else:
            self._once.forget((name, _ITSELF))

    async def _bring_up(
        self,
        name: str,
        versions: Mapping[int, Located],
        policy: VersionPolicy | None,
        *,
        at_once: bool = False,
    ) -> dict[int, str]:
        """Serve the newest version that is good (or every one that is), and retire the others.

        Returns why each version that was tried is not served as it is on disk. `at_once`: somebody asked for it. So
        nothing is waited for, and a version that is refused or serves is tried again where its files have changed.
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
            if (name, version) in self._answering:
                good.append(version)
                if len(good) == policy.latest:
                    break
        for model in self._table.versions(name):
            if (
                good and model.version not in good
            ):  # the old one stays until there is something to take its place
                self._retire(model, forget=model.version not in versions)
        return failures

    async def _try(self, located: Located, *, bundled: bool, at_once: bool) -> str | None:
        """Load a version unless it is served or was refused as it stands; why it is not served so.

        `bundled`: the model has versions with a manifest, so that one without is taken for half a bundle.
        """
        key = (located.name, located.version)
        served = self._answering.get(key)
        if served is not None and not at_once and not _has_got_a_manifest(served, located):
            return None
        files = await self._on_thread(located.files)
        if served is not None and _counted(files) == _counted(self._files[key]):
            self._attempts.pardon(key)  # where it was changed, it was changed back
            self._table.mark(key, ModelState.READY)
            return None
        refusal = self._attempts.refusal(key, files)
        if refusal is not None and not at_once and not self._attempts.is_due(key):
            return refusal.reason
        changes = self._started and not at_once and not self._attempts.lies_still(key, files)
        if changes and self._attempts.must_lie_still(located):
            return self._wait(located, files, "its files are being written")
        is_new = self._started and not at_once and self._attempts.is_new(key, files)
        if is_new and (fault := self._attempts.fault(key)):
            return fault
        if served is None and (refusal is None or at_once):
            self._table.mark(key, ModelState.LOADING)
        try:
            if bundled and located.graph_file is not None and served is None and not at_once:
                raise FileMissing(located.path, f"no {MANIFEST_FILE} is there, which other versions have")
            loaded = await self._on_thread(lambda: self._loader(located))
            model = loaded()
        except Exception as error:  # one model's fault must not keep the others from loading
            if (changes or is_new) and self._attempts.may_mend(error):
                return self._wait(located, files, _said(error), error)
            return self._refuse(key, files, error)
        self._serve(model, files)
        return None

    def _wait(self, located: Located, files: Fingerprint, reason: str, error: Exception | None = None) -> str:
        key = (located.name, located.version)
        known = key in self._known() or error is not None
        reason = f"it changes, and is looked at again: {shown(reason)}"
        self._attempts.wait(key, files, error, reason if error is not None else "")
        if key not in self._answering and (known or located.graph_file is None):
            self._table.mark(key, ModelState.REFUSED, reason)
        if key not in self._once:
            self._once.say(key, logging.INFO, f"waiting for {located.name}/{located.version} to be complete")
        return reason

    def _say_what_serves(self) -> None:
        """One line at the start: whoever reads the log can tell whether this is the folder that was meant."""
        root = shown(str(self._root))
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
        """From now on it answers; the version that it takes the place of finishes its requests."""
        key = (model.name, model.version)
        old = self._table.put(model)
        self._files[key] = files
        self._attempts.forget(key)
        self._once.forget(key)
        log.info("serving %s/%s: %s on %s, %s", *key, model.predictor.precision,
                 model.predictor.session.provider, model.batcher.plan.in_words)  # fmt: skip
        if old is not None:
            self._background.let_go(old, forget=False)
        elif self._started:
            self._background.trim()
        self._background.measure_rest(model)

    async def _refuse_policy(self, policy: VersionPolicy, versions: Mapping[int, Located]) -> dict[int, str]:
        """None of the versions that a model's `config.pbtxt` wants served is there."""
        newest = versions[max(versions)]
        reason = (
            f"version_policy: got versions {sorted(versions)}, expected one of {list(policy.specific or ())}"
        )
        files = await self._on_thread(newest.files)
        key = (newest.name, newest.version)
        return {newest.version: self._refuse(key, files, ConfigInvalid(newest.path, reason))}

    def _refuse(self, key: Key, files: Fingerprint, error: Exception) -> str:
        """Remember that a version was refused; the version that served before goes on."""
        reason = shown(_said(error))
        self._attempts.refuse(key, files, reason, error)
        if key in self._answering:
            self._table.mark(key, ModelState.READY, f"what is on disk is refused: {reason}")
        else:
            self._table.mark(key, ModelState.REFUSED, reason)
        unexpected = not isinstance(error, BatonError | OSError)
        # The line names the bundle itself; the reason, which clients read, names it too.
        why = shown(error.reason) if isinstance(error, BundleRefused) else reason
        self._once.say(key, logging.ERROR, f"refused {key[0]}/{key[1]}: {why}", traceback=unexpected)
        return reason

    def _retire_all(self, name: str) -> list[asyncio.Task[None]]:
        return [self._retire(model) for model in self._table.versions(name)]

    def _retire(self, model: ServedModel, *, forget: bool = False) -> asyncio.Task[None]:
        """Take a version out of the table at once, and let go of it when its last request is answered."""
        self._table.take_out(model)
        del self._files[model.name, model.version]
        return self._background.let_go(model, forget=forget)

    def _known(self) -> set[Key]:
        """Every version that was ever looked at and is not forgotten."""
        return {*self._table.index, *self._attempts.keys()}

    def _forget(self, name: str) -> None:
        self._unloaded.discard(name)
        self._table.forget_model(name)
        self._once.forget((name, _ITSELF))
        for key in self._known():
            if key[0] == name:
                self._forget_version(key)

    def _forget_gone(self, name: str, versions: Mapping[int, Located]) -> None:
        """A bad version that was taken away is no fault any more."""
        for key in self._known():
            gone = key[0] == name and key[1] not in versions and key not in self._answering
            if gone and not self._background.is_retiring(key):
                self._forget_version(key)

    def _forget_version(self, key: Key) -> None:
        self._table.forget(key)
        self._attempts.forget(key)
        self._once.forget(key)

    def _absent(self, name: str, version: int | None) -> BatonError:
        known = any(key[0] == name and version in (None, key[1]) for key in self._table.index)
        meant = any(key[0] == name and fault.serious for key, fault in self._folder.misplaced.items())
        if known or (meant and version is None):
            return ModelNotReady(name, self._reason(name))
        if not self._started:  # nobody knows yet whether there is such a model
            return ModelNotReady(name, "the server is starting")
        return ModelNotFound(name, version)

    def _reason(self, name: str) -> str:
        """Why a model does not answer."""
        newest = self._table.newest_entry(name)
        if newest is None:
            return "; ".join(self._folder.reasons(name))
        return newest.reason or f"it is {newest.state.value.lower()}"


def _has_got_a_manifest(served: ServedModel, located: Located) -> bool:
    """Whether a version that was taken for a graph of somebody else's is a bundle, whose manifest came late."""
    return served.predictor.bundle.derived and located.graph_file is None


def _counted(files: Fingerprint) -> Fingerprint:
    return tuple(state for state in files if state.counts)


def _said(error: Exception) -> str:
    """The fault in words for the log and the index."""
    if isinstance(error, OSError):
        return f"it cannot be read: {said_of(error)}"
    return str(error) if isinstance(error, BatonError) else f"{type(error).__name__}: {error}"
