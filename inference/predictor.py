"""A bundle, opened and proved, that answers without a server: for evaluation, scripts and `baton predict`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.errors import GraphInvalid
from inference.manifest import TensorSpec
from inference.options import Precision
from inference.processors import build_processor
from inference.processors.base import Processor
from inference.proving.golden import replay
from inference.runtime.session import OrtSession, SessionOptions
from inference.store.bundle import Bundle
from inference.store.located import Located
from inference.store.reference import Reference
from inference.store.signatures import Trust
from inference.values import Features, Payload, Prediction, Tensors


@dataclass(frozen=True, slots=True)
class Predictor:
    """One processor and one session; thread-safe, since neither keeps anything of a call."""

    bundle: Bundle
    processor: Processor
    session: OrtSession
    precision: Precision
    reference: Reference | None = None

    @classmethod
    def open(
        cls,
        path: Path | Located,
        precision: Precision | None = None,
        options: SessionOptions = SessionOptions(),
        *,
        prove: bool = True,
        trust: Trust | None = None,
    ) -> "Predictor":
        """Open a bundle's folder, load its graph and replay its golden examples; raises `BundleRefused`."""
        bundle = Bundle.open(path, trust=trust)
        return cls.from_bundle(bundle, precision, options, prove=prove)

    @classmethod
    def from_bundle(
        cls,
        bundle: Bundle,
        precision: Precision | None = None,
        options: SessionOptions = SessionOptions(),
        *,
        prove: bool = True,
        processor: Processor | None = None,
        session: OrtSession | None = None,
    ) -> "Predictor":
        """The same for a bundle that is open already, whose `processor` and `session` may be made already too."""
        chosen = precision or bundle.manifest.serve
        if session is None:
            session = bundle.load(chosen, options.for_manifest(bundle.manifest))
        for actual, expected in (
            (session.inputs, bundle.manifest.inputs),
            (session.outputs, bundle.manifest.outputs),
        ):
            if actual != expected and not bundle.derived:
                raise GraphInvalid(
                    bundle.path, f"the graph has {_words(actual)}, the manifest says {_words(expected)}"
                )
        processor = processor or build_processor(bundle)
        reference = Reference.read(bundle, processor.summary_features)
        predictor = cls(bundle, processor, session, chosen, reference)
        if prove and not bundle.derived:
            replay(bundle, predictor.processor, session, chosen)
        return predictor

    def predict(self, payloads: Sequence[Payload], batch_size: int = 64) -> Iterator[Prediction]:
        """One answer a payload, in order, `batch_size` rows to a run."""
        for outputs, context in self.rows(payloads, batch_size):
            yield self.processor.postprocess(outputs, context)

    def rows(self, payloads: Sequence[Payload], batch_size: int = 64) -> Iterator[tuple[Tensors, object]]:
        """Each row's outputs (first axis 1) with its context, as evaluation takes them."""
        for features, outputs in self.exchanges(payloads, batch_size):
            yield outputs, features.context

    def exchanges(
        self, payloads: Sequence[Payload], batch_size: int = 64
    ) -> Iterator[tuple[Features, Tensors]]:
        """Each row as it went into the graph, and its outputs (first axis 1)."""
        limit = max(1, min(batch_size, self.bundle.manifest.max_batch_size))
        for start in range(0, len(payloads), limit):
            features = [
                self.processor.preprocess(self.processor.decode(payload))
                for payload in payloads[start : start + limit]
            ]
            outputs = self.session.run(self.processor.collate([feature.tensors for feature in features]))
            yield from zip(features, self.processor.split(outputs, [1] * len(features)), strict=True)


def _words(specs: Sequence[TensorSpec]) -> str:
    return ", ".join(f"{spec.name} {spec.datatype} {list(spec.shape)}" for spec in specs)
