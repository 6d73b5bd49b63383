"""From a folder to a model that may serve: open, measure, prove, and plan how to run it."""

import functools
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import onnxruntime as ort

from inference.bundle import Bundle, Located
from inference.errors import ProviderUnavailable
from inference.golden import Golden, payload_of
from inference.machine import available_cpus, gpus
from inference.manifest import TensorSpec
from inference.options import Device, Precision
from inference.predictor import Predictor
from inference.processors import build_processor
from inference.processors.base import Processor
from inference.providers import CUDA, check_device
from inference.session import OrtSession, SessionOptions
from inference.values import Array, DataType, Payload, Tensors
from serving.batching import DynamicBatcher
from serving.drift import Drift
from serving.metrics import ModelMetrics
from serving.profile import (
    AS_MEASURED,
    ByHand,
    Profile,
    ProfileCache,
    Rows,
    cache_key,
    measure,
    measure_on_device,
    sample_rows,
)
from serving.registry import Loaded, ServedModel

log = logging.getLogger("baton.loading")

# Preparing an input on the event loop keeps every other caller waiting for so long at most; beyond it the
# hop to a worker thread is the smaller cost.
INLINE_PREPARE_S = 0.3e-3

# What a derived graph's dynamic axes other than the batch are measured with: nobody says what is usual.
_UNKNOWN_AXIS = 16


@dataclass(frozen=True, slots=True)
class ModelLoader:
    """Loads versions on a thread; what it is made with holds for every model of the server."""

    device: Device
    precision: Precision | None
    p99_ms: float | None
    max_batch_size: int | None
    max_pending_rows: int | None
    cache: ProfileCache
    runs: Executor
    """Where batches run that are not run on the event loop."""
    by_hand: ByHand = AS_MEASURED
    engine_cache: Path | None = None
    drift_window_rows: int = 0
    cpus: int = field(default_factory=available_cpus)
    """That this process may use for its runs."""

    def __call__(self, path: Path | Located) -> Loaded:
        """Open, measure and prove one version; raises `BundleRefused` or `ProviderUnavailable`."""
        if self.device == "auto":
            return self._wherever_it_starts(path)
        bundle = Bundle.open(path)
        precision = self._precision(bundle)
        source = bundle.graph_source(precision)
        processor = build_processor(bundle)
        example = _Example.of(bundle, processor)

        @functools.cache
        def open_session(threads: int, batch_sizes: tuple[int, ...]) -> OrtSession:
            """What was measured is what serves."""
            options = SessionOptions(
                threads=threads, device=self.device, engine_cache=self.engine_cache, batch_sizes=batch_sizes
            )
            return OrtSession(source, bundle.path, options.for_manifest(bundle.manifest))

        rows = sample_rows(example.tensors) if bundle.manifest.max_batch_size else lambda _: example.tensors
        profile = self._profile(bundle, precision, open_session, rows)
        session = open_session(profile.chosen.threads, profile.batch_sizes)
        alone = open_session(profile.alone.threads, ()) if profile.alone else None
        predictor = Predictor.from_bundle(bundle, precision, processor=processor, session=session)
        session.shrink(example.tensors)  # measured with bigger batches than are served
        for size in profile.batch_sizes:  # each prepares its kernels, unless it was measured just now
            session.run(rows(size))
        # What libraries put off until their first use (40 ms in NumPy) is not put off until a caller's request.
        list(predictor.predict(example.payloads[:1]))
        inline_bytes = example.inline_bytes(processor)
        loaded_at = time.time()

        def finish() -> ServedModel:
            manifest = bundle.manifest
            batch_size = min(self.max_batch_size or profile.most_rows, manifest.max_batch_size) or 1
            plan = profile.plan(self.p99_ms, batch_size, self.max_pending_rows)
            metrics = ModelMetrics(manifest.name, manifest.version)
            batcher = DynamicBatcher(
                manifest.name, predictor.session, predictor.processor, plan, self.runs, metrics, alone
            )
            return ServedModel(
                name=manifest.name,
                version=manifest.version,
                manifest=manifest,
                predictor=predictor,
                batcher=batcher,
                metrics=metrics,
                profile=profile,
                loaded_at=loaded_at,
                inline_bytes=inline_bytes,
                drift=self._drift(predictor),
            )

        return finish

    def _drift(self, predictor: Predictor) -> Drift | None:
        if predictor.reference is None or not self.drift_window_rows:
            return None
        return Drift(predictor.processor, predictor.reference, self.drift_window_rows)

    def _wherever_it_starts(self, path: Path | Located) -> Loaded:
        """What `auto` comes to: CUDA, or else what the CPU is given."""
        if check_device("auto") == CUDA:
            try:
                return replace(self, device="cuda")(path)
            except ProviderUnavailable:
                log.warning(
                    "%s: CUDA does not start here, so it runs on the CPU", Bundle.open(path).manifest.name
                )
        return replace(self, device="cpu")(path)

    def _precision(self, bundle: Bundle) -> Precision:
        """As told, or as the manifest says, whose choice was measured on a CPU: GPUs have no kernels for its int8."""
        if self.precision is None and self.device != "cpu" and "fp32" in bundle.manifest.graphs:
            return "fp32"
        return self.precision or bundle.manifest.serve

    def _profile(
        self,
        bundle: Bundle,
        precision: Precision,
        open_session: Callable[[int, tuple[int, ...]], OrtSession],
        rows: Rows,
    ) -> Profile:
        digest = bundle.manifest.files[bundle.graph(precision).file].sha256
        on_device = self.device != "cpu"
        where = gpus() if on_device else ()
        key = cache_key(digest, self.device, self.cpus, ort.__version__, *self.by_hand, *where)
        known = self.cache.get(key)
        if known is not None:
            return known

        limit = bundle.manifest.max_batch_size
        if on_device:
            profile = measure_on_device(open_session, rows, limit, self.by_hand)
        else:
            profile = measure(lambda threads: open_session(threads, ()), rows, self.cpus, limit, self.by_hand)
        self.cache.put(key, profile)
        return profile


@dataclass(frozen=True, slots=True)
class _Example:
    """What to measure with: the golden payloads, or zeros where there are none."""

    payloads: tuple[Payload, ...]
    tensors: Tensors

    @classmethod
    def of(cls, bundle: Bundle, processor: Processor) -> "_Example":
        """Real inputs where the bundle has them."""
        if bundle.derived:
            return cls((), {spec.name: _zeros(spec) for spec in bundle.manifest.inputs})
        payloads = tuple(payload_of(bundle, example) for example in Golden.read(bundle).examples)
        rows = [processor.preprocess(processor.decode(payload)).tensors for payload in payloads]
        return cls(payloads, processor.collate(rows))

    def inline_bytes(self, processor: Processor) -> int:
        """The size up to which payloads may be prepared on the event loop: twice the examples', if quick."""
        if not self.payloads:
            return 0
        seconds = min(_seconds(lambda: [processor.preprocess(processor.decode(each)) for each in self.payloads])
                      for _ in range(3))  # fmt: skip
        if seconds / len(self.payloads) > INLINE_PREPARE_S:
            return 0
        return 2 * max(payload.size for payload in self.payloads)


def _seconds(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def _zeros(spec: TensorSpec) -> Array:
    shape = [
        1 if place == 0 and axis < 0 else _UNKNOWN_AXIS if axis < 0 else axis
        for place, axis in enumerate(spec.shape)
    ]
    if spec.datatype is DataType.BYTES:
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, spec.datatype.dtype)
