"""Whether rows of several requests may share a run of one graph: proved with real rows, or vouched for."""

from inference.manifest import Manifest
from inference.processors.base import Processor
from inference.proving.independence import BatchProof, confirm, mixes_by_design, prove
from inference.runtime.session import OrtSession
from inference.store.bundle import Bundle
from serving.engine.example import Example

_RUNS_TO_PROVE = 30  # of one row
CONFIRMED_ROWS = 16
"""Rows of the biggest batch that is proved at least, however small those are that will be run."""

NOT_YET = BatchProof(batched=False, reason="it is not proved yet that rows may share a run")


class Prover:
    """Proves one version; `candidate` is the batch size that its manifest names, 0 for none."""

    def __init__(self, bundle: Bundle, processor: Processor, *, trusted: bool) -> None:
        """`trusted`: the operator vouches for a batch, whatever a proof would say of it."""
        self._bundle, self._processor = bundle, processor
        self._candidate = bundle.manifest.max_batch_size
        self._trusted = trusted and self._candidate > 0

    def is_quick(self, run_s: float, budget_s: float) -> bool:
        """Whether a proof fits the budget, of a graph of which one row takes `run_s`."""
        return not self._candidate or _RUNS_TO_PROVE * run_s <= budget_s

    def prove(self, session: OrtSession, example: Example) -> BatchProof | None:
        """Whether rows may share runs; None where a bundle has too few examples, and its publisher's proof says it."""
        if self._trusted:
            return BatchProof(batched=True)
        if not self._bundle.derived:
            # That its rows are a batch was proved when it was published, over many more of them; but not here.
            if len(example.rows) < 2:
                return None
            return prove(session, example.rows, self._processor, must_differ=False)
        if not self._candidate:
            return BatchProof(batched=False, reason=_fixed_axis(self._bundle.manifest))
        if by_design := mixes_by_design(self._bundle.ops):
            return BatchProof(batched=False, reason=by_design)
        if any(len(array) != 1 for array in example.rows[0].values()):
            return BatchProof(batched=False, reason="the graph does not run one row alone")
        return prove(session, example.rows, self._processor)

    @property
    def must_confirm(self) -> bool:
        """Whether the biggest batch is proved too: of a graph that no publisher has proved."""
        return self._bundle.derived and not self._trusted

    def confirm(self, session: OrtSession, example: Example, rows: int) -> BatchProof:
        """The proof of a batch of so many rows."""
        return confirm(session, example.rows, self._processor, rows)

    def limit(self, batching: BatchProof | None) -> int:
        """Rows that a run may have; 0 where they were not proved to be a batch."""
        return self._candidate if batching is None or batching.batched else 0


def _fixed_axis(manifest: Manifest) -> str:
    """The tensor that has no batch axis, in words."""
    for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        for spec in specs:
            if spec.shape[:1] != (-1,):
                return f"the first axis of {kind} {spec.name} is fixed: its shape is {list(spec.shape)}"
    return "it is set so"
