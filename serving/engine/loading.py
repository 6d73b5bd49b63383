"""From a folder to a model that may serve: open, measure, prove, and plan how to run it."""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from pathlib import Path
from threading import Event
from weakref import WeakSet

import onnxruntime as ort

from inference.errors import InferenceFailed, ProviderUnavailable
from inference.manifest import Manifest
from inference.options import Device, Precision
from inference.predictor import Predictor
from inference.processors import build_processor
from inference.proving.independence import BatchProof
from inference.proving.sample_inputs import rows_like
from inference.runtime.machine import available_cpus, gpus
from inference.runtime.messages import brief
from inference.runtime.providers import CUDA, check_device
from inference.runtime.session import OrtSession
from inference.store.bundle import Bundle
from inference.store.located import Located
from inference.triton.config import TritonConfig
from inference.triton.reading import read_config
from inference.values import Tensors
from serving.engine.batching import DynamicBatcher
from serving.engine.cells import Cells, Counts, PrivateCounts
from serving.engine.drift import Drift
from serving.engine.example import Example, find_example
from serving.engine.measuring import measure, measure_on_device, seconds_to_measure
from serving.engine.metrics import ModelMetrics
from serving.engine.plan import Plan
from serving.engine.planning import UNKNOWN_RUN_S, assume, make_plan, most_rows
from serving.engine.profile import AS_MEASURED, HOP_S, Overrides, Profile, ProfileCache, cache_key
from serving.engine.proving import CONFIRMED_ROWS, NOT_YET, Prover
from serving.engine.served_model import Loaded, ServedModel
from serving.engine.sessions import Sessions
from serving.engine.timing import Rows, seconds_of
from serving.engine.turns import Turns

log = logging.getLogger("baton.loading")

# The time for proving and measuring before a model serves: a share of the seconds that its session took to create,
# and so many at least. So a small graph is known whole when its first request comes.
BUDGET_OF_CREATION = 1.3
LEAST_BUDGET_S = 0.5
_QUIET_S = 0.005  # between two looks whether it is quiet
_MAX_WAIT_S = 0.5  # for a moment without requests, before each measurement under way


@dataclass(frozen=True, slots=True)
class ModelLoader:
    """Loads versions on a thread; its fields hold for every model of the server."""

    device: Device
    precision: Precision | None
    p99_ms: float | None
    max_batch_size: int | None
    max_pending_rows: int | None
    cache: ProfileCache
    runs: Executor
    """Where batches run that are not run on the event loop."""
    overrides: Overrides = AS_MEASURED
    engine_cache: Path | None = None
    drift_window_rows: int = 0
    cpus: int = field(default_factory=available_cpus)
    """That this process may use for its runs."""
    at_once: bool = False
    """Measure everything before a model serves; else long measurements are made under way."""
    measuring: Executor | None = None
    """Where that is done; None: on the event loop's own threads."""
    counts: Counts = field(default_factory=PrivateCounts)
    turns: Turns = field(default_factory=Turns)
    serving: WeakSet[DynamicBatcher] = field(default_factory=WeakSet)
    """The batchers that answer here: measuring under way keeps out of their way."""

    def is_busy(self) -> bool:
        """Whether a measurement would be disturbed now, and disturb."""
        return self.turns.creating or any(batcher.admission.busy for batcher in list(self.serving))

    def __call__(self, path: Path | Located) -> Loaded:
        """Open, prove and, where it is quick, measure one version; raises `BundleRefused` or `ProviderUnavailable`."""
        if self.device == "auto":
            return self._wherever_it_starts(path)
        return _Load(self, path if isinstance(path, Located) else Located.at(path)).begin()

    def drift(self, predictor: Predictor, cells: Cells) -> Drift | None:
        if predictor.reference is None or not self.drift_window_rows:
            return None
        return Drift(predictor.processor, predictor.reference, self.drift_window_rows, cells=cells)

    def _wherever_it_starts(self, path: Path | Located) -> Loaded:
        """`auto` is CUDA, or else the CPU."""
        if check_device("auto") == CUDA:
            try:
                return replace(self, device="cuda")(path)
            except ProviderUnavailable:
                log.warning(
                    "%s: CUDA does not start here, so it runs on the CPU", Bundle.open(path).manifest.name
                )
        return replace(self, device="cpu")(path)

    def precision_of(self, bundle: Bundle) -> Precision:
        """As set, or as the manifest says. Its choice was measured on a CPU: GPUs have no kernels for its int8."""
        if self.precision is None and self.device != "cpu" and "fp32" in bundle.manifest.graphs:
            return "fp32"
        return self.precision or bundle.manifest.serve

    def key(
        self, bundle: Bundle, precision: Precision, overrides: Overrides, config: TritonConfig | None = None
    ) -> str:
        """Under which a profile is kept: everything that it depends on."""
        digest = bundle.manifest.files[bundle.graph(precision).file].sha256
        where = gpus() if self.device != "cpu" else ()
        said = () if config is None else (config.max_batch_size, config.trusted, config.optimization)
        at_most = self.max_batch_size  # up to which a batch was proved
        return cache_key(digest, self.device, self.cpus, ort.__version__, at_most, *overrides, *where, *said)


class _Stopped(Exception):
    """The server ends, or the model is gone: nobody needs the measurement any more."""


class _Load:
    """One version on its way: opened, proved and measured on a thread, then the rest under way."""

    def __init__(self, loader: ModelLoader, located: Located) -> None:
        self._loader, self._stopped = loader, Event()
        self._located = located
        self._bundle: Bundle
        self._sessions: Sessions
        self._prover: Prover
        self._example: Example | None = None
        self._told: Tensors = {}
        self._overrides = self._set_overrides = loader.overrides
        self._config: TritonConfig | None = None
        self._model: ServedModel
        self._profile: Profile

    def begin(self) -> Loaded:
        """Until it may answer; the caller finishes it on the event loop."""
        loader = self._loader
        began = time.perf_counter()
        with loader.turns.create():
            self._open()
        created_s = time.perf_counter() - began
        budget_s = inf if self._loader.at_once or loader.device != "cpu" else self._budget_s(created_s)
        self._processor = build_processor(self._bundle)
        vouched_for = self._config is not None and self._config.trusted
        self._prover = Prover(self._bundle, self._processor, trusted=vouched_for)
        profile = self._first_profile(budget_s)
        prepared = self._prepared(profile)
        inline_bytes = 0 if self._example is None else self._example.inline_bytes(self._processor)
        return partial(self._serve, *prepared, inline_bytes, time.time())

    async def rest(self) -> Callable[[], ServedModel] | None:
        """Measure the points that were left when it began to serve; the result makes its successor on the event loop.

        None if there is nothing more to know. A graph for which no input was found is measured by its first request.
        """
        loop = asyncio.get_running_loop()
        if self._example is None:
            told: asyncio.Future[Tensors] = loop.create_future()
            self._model.batcher.on_answer(lambda tensors: None if told.done() else told.set_result(tensors))
            self._told = await told
        try:
            return await loop.run_in_executor(self._loader.measuring, self._measure_rest)
        except asyncio.CancelledError:
            self._stopped.set()
            raise

    def _open(self) -> None:
        config = read_config(self._located.path)
        if config is not None:  # of one model, so it goes before the settings of all
            config.log_ignored(self._loader.device)
            threads, runs = self._overrides
            self._overrides = Overrides(
                config.threads or threads, config.instances(self._loader.device) or runs
            )
        self._config, self._set_overrides = config, self._overrides
        self._sessions = Sessions(self._loader.device, self._loader.engine_cache, config)
        bundle = Bundle.open(self._located, self._sessions.options(self._threads))
        self._limit = bundle.manifest.max_batch_size
        self._precision = self._loader.precision_of(bundle)
        self._sessions.begin(bundle, self._precision, self._threads)
        self._bundle = replace(bundle, session=None)  # its session is let go of if another serves
        self._first_session()

    @property
    def _threads(self) -> int:
        return self._overrides.threads or 1

    def _session(self, threads: int, batch_sizes: tuple[int, ...] = ()) -> OrtSession:
        return self._sessions.get(threads, batch_sizes, self._limit)

    def _first_session(self) -> OrtSession:
        return self._session(self._threads)

    @staticmethod
    def _budget_s(created_s: float) -> float:
        return max(LEAST_BUDGET_S, BUDGET_OF_CREATION * created_s)

    def _key(self) -> str:
        return self._loader.key(self._bundle, self._precision, self._set_overrides, self._config)

    def _first_profile(self, budget_s: float) -> Profile:
        loader, session = self._loader, self._first_session()
        try:
            self._example = example = find_example(self._bundle, self._processor, session)
        except InferenceFailed as error:
            profile = assume(UNKNOWN_RUN_S, loader.cpus, self._overrides, str(error))
            return profile.model_copy(update={"batching": NOT_YET})
        known = loader.cache.get(self._key())
        if known:
            return known
        run_s = seconds_of(session, example.rows[0])
        if loader.overrides.runs is None and self._overrides == (None, 1) and run_s < HOP_S:
            # One instance is one run at a time, which a quick one is on the loop too.
            self._overrides = Overrides(runs=0)
        return self._within(budget_s, example, run_s)

    def _within(self, budget_s: float, example: Example, run_s: float) -> Profile:
        """Prove and measure as far as the budget goes; the rest is assumed, and rows stay apart until proved."""
        loader = self._loader
        is_quick = self._prover.is_quick(run_s, budget_s)
        batching = self._prover.prove(self._first_session(), example) if is_quick else NOT_YET
        if seconds_to_measure(run_s) <= budget_s:
            with loader.turns.measure():
                return self._measure(example, batching, example.batch)
        return assume(run_s, loader.cpus, self._overrides).model_copy(update={"batching": batching})

    def _measure(self, example: Example, batching: BatchProof | None, rows: Rows) -> Profile:
        """The whole curve; of a graph whose rows may share runs the biggest batch is proved too."""
        loader = self._loader
        self._limit = limit = self._prover.limit(batching)
        made = rows if limit else lambda _: (rows(1), example.rows[0])[1]
        if loader.device != "cpu":
            profile = measure_on_device(self._session, made, limit, self._overrides)
        else:
            profile = measure(self._session, made, loader.cpus, limit, self._overrides)
        # Rows that are cut into several runs must answer as they would in one.
        most = max(self._most_rows(profile, limit), min(CONFIRMED_ROWS, limit))
        if limit and self._prover.must_confirm:
            session = self._session(profile.chosen.threads, profile.batch_sizes)
            confirmed = self._prover.confirm(session, example, most)
            if not confirmed.batched:
                return self._measure(example, confirmed, rows)
            batching = confirmed
        profile = profile.model_copy(update={"batching": batching})
        loader.cache.put(self._key(), profile)
        return profile

    def _most_rows(self, profile: Profile, limit: int) -> int:
        """Rows of the biggest batch that will be run."""
        return min(self._loader.max_batch_size or most_rows(profile), limit) or 1

    def _measure_rest(self) -> Callable[[], ServedModel] | None:
        """On a thread, between requests."""
        example = self._example = self._example or self._example_told()
        profile = self._profile

        def rows(size: int) -> Tensors:
            self._wait_for_quiet()
            return example.batch(size)

        batching = profile.batching
        if batching is None or batching is NOT_YET:
            batching = self._prover.prove(self._first_session(), example)
        try:
            profile = self._measure(example, batching, rows)
        except _Stopped:
            return None
        except InferenceFailed as error:  # a graph that fails now and then
            log.warning("%s: it cannot be measured: %s", self._model.name, brief(error))
            return None
        return partial(self._renew, *self._prepared(profile))

    def _example_told(self) -> Example:
        """By the first request: rows like its own, or that itself where one row alone is not taken."""
        tensors, self._told = self._told, {}
        rows = rows_like(self._bundle.manifest.inputs, tensors)
        try:
            self._first_session().attempt(rows[0])
        except InferenceFailed:
            return Example((), (tensors,))
        return Example((), rows)

    def _wait_for_quiet(self) -> None:
        until = time.monotonic() + _MAX_WAIT_S
        while not self._stopped.is_set() and self._loader.is_busy() and time.monotonic() < until:
            time.sleep(_QUIET_S)
        if self._stopped.is_set():
            raise _Stopped

    def _prepared(self, profile: Profile) -> tuple[Profile, Predictor, OrtSession | None]:
        """Sessions as the profile wants them, proved and warm."""
        self._profile, bundle = profile, self._bundle
        self._limit = self._prover.limit(profile.batching)
        session = self._session(profile.chosen.threads, profile.batch_sizes)
        alone = self._session(profile.alone.threads) if profile.alone else None
        self._sessions.keep_only(session, alone)
        predictor = Predictor.from_bundle(bundle, self._precision, processor=self._processor, session=session)
        example = self._example
        if example is not None:
            if profile.measured:  # with bigger batches than are served
                session.shrink(example.rows[0])
            for size in profile.batch_sizes:  # each prepares its kernels, unless it was measured just now
                session.run(example.batch(size))
            # Libraries put work off until their first use (40 ms in NumPy), which must not be a client's request.
            list(predictor.predict(example.payloads[:1]))
        return profile, predictor, alone

    def _manifest(self, profile: Profile) -> Manifest:
        """As the bundle has it, or without batches where those were not proved."""
        manifest, batching = self._bundle.client_view().manifest, profile.batching
        apart = batching is not None and not batching.batched
        return manifest.model_copy(update={"max_batch_size": 0}) if apart else manifest

    def _plan(self, profile: Profile, manifest: Manifest) -> Plan:
        loader = self._loader
        batch_size = self._most_rows(profile, manifest.max_batch_size)
        plan = make_plan(profile, loader.p99_ms, batch_size, self._max_pending_rows(batch_size, profile))
        preferred = self._config and self._config.preferred_batch_size
        return plan._replace(preferred_batch_size=min(preferred, batch_size)) if preferred else plan

    def _max_pending_rows(self, batch_size: int, profile: Profile) -> int | None:
        """Rows that may wait or run: as told, and no more than `max_queue_size` beside the batches that run."""
        told, queue = self._loader.max_pending_rows, self._config and self._config.max_queue_size
        if not queue:
            return told
        rows = max(queue, batch_size) + batch_size * max(1, profile.chosen.runs)
        return min(rows, told) if told else rows

    def _serve(
        self,
        profile: Profile,
        predictor: Predictor,
        alone: OrtSession | None,
        inline_bytes: int,
        loaded_at: float,
    ) -> ServedModel:
        """On the event loop, where a batcher has to be made."""
        loader, manifest = self._loader, self._manifest(profile)
        numbers = loader.counts.of(manifest.name, manifest.version)
        metrics = ModelMetrics(manifest.name, manifest.version, numbers)
        plan = self._plan(profile, manifest)
        batcher = DynamicBatcher(
            manifest.name, predictor.session, predictor.processor, plan, loader.runs, metrics, alone
        )
        loader.serving.add(batcher)
        self._model = ServedModel(
            name=manifest.name,
            version=manifest.version,
            manifest=manifest,
            predictor=predictor,
            batcher=batcher,
            metrics=metrics,
            profile=profile,
            loaded_at=loaded_at,
            inline_bytes=inline_bytes,
            drift=loader.drift(predictor, metrics.drift),
            rest=None if profile.measured else self.rest,
        )
        _tell(self._model)
        return self._model

    def _renew(self, profile: Profile, predictor: Predictor, alone: OrtSession | None) -> ServedModel:
        """The same model, run by the plan that was measured meanwhile."""
        manifest = self._manifest(profile)
        model = replace(self._model, manifest=manifest, predictor=predictor, profile=profile, rest=None)
        model.batcher.adopt(self._plan(profile, manifest), predictor.session, alone)
        told, self._model = self._model.profile, model
        if (told.batching, told.note) != (profile.batching, profile.note):  # nothing is said twice
            _tell(model)
        return model


def _tell(model: ServedModel) -> None:
    """A line where an operator would expect otherwise."""
    batching, note = model.profile.batching, model.profile.note
    if note:
        log.warning("%s/%s: not measured: %s", model.name, model.version, note)
    if batching is not None and not batching.batched:
        log.info("%s/%s: requests are run one at a time: %s", model.name, model.version, batching.reason)
