"""Counters of a model while it answers. `serving.observe.exposition` shows them.

Plain integers in plain lists: an observation costs a bisect and two additions, takes no lock and makes no
object. Everything is added to on the event loop only, and read there.
"""

from asyncio import CancelledError
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import time
from typing import Any

from inference.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    ExplanationsFull,
    InflightExceeded,
    InvalidInput,
    LowPriorityFull,
    ModelNotReady,
    Overloaded,
    Unsupported,
)
from inference.values import Prediction
from serving.engine.context import STAGES, StageTimes

# fmt: off
SECONDS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
# fmt: on
"""Upper bounds of latency buckets: 0.25 ms is a small graph's run, 10 s an operator's patience."""

STAGE_SECONDS = (0.00001, 0.000025, 0.00005, 0.0001, *SECONDS)
"""A stage is a part of a request, so its buckets begin lower."""

ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Upper bounds of batch sizes."""

CONFIDENCE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Upper bounds of the probability of the label that was answered."""

MILLIONTHS = 1_000_000
_NS = 1_000_000_000


class Distribution:
    """A histogram of whole numbers, which knows its sum exactly. Bounds are inclusive."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[int, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  # the last is for values above every bound
        self.total = 0

    def observe(self, value: int) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


def _nanoseconds(seconds: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(round(bound * _NS) for bound in seconds)


_REQUEST_NS = _nanoseconds(SECONDS)
_STAGE_NS = _nanoseconds(STAGE_SECONDS)
_CONFIDENCE = tuple(round(bound * MILLIONTHS) for bound in CONFIDENCE)


@dataclass(slots=True)
class Tally:
    """How often something happened, and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        """Count it `count` times, `ns` nanoseconds together."""
        self.count += count
        self.ns += ns


@dataclass(slots=True)
class Share:
    """How often a label was answered, and the sum of its probabilities in millionths."""

    count: int = 0
    millionths: int = 0


SUCCESS, INVALID, REJECTED, DEADLINE, CANCELLED, FAILED = OUTCOMES = (
    "success",
    "invalid",
    "rejected",
    "deadline",
    "cancelled",
    "failed",
)
"""How a request may end, as metric labels name it: answered, at fault, turned away, too late, left, our fault."""


QUEUE_FULL, LOW_FULL, EXPLANATIONS_FULL, NOT_READY, MEMORY = REASONS = (
    "queue_full",
    "low_priority_full",
    "explanations_full",
    "not_ready",
    "memory",
)
"""Why a request may be turned away."""


def classify(error: BaseException) -> tuple[str, str]:
    """The outcome that an error stands for, and the reason behind it."""
    match error:
        case LowPriorityFull():
            return REJECTED, LOW_FULL
        case ExplanationsFull():
            return REJECTED, EXPLANATIONS_FULL
        case Overloaded():
            return REJECTED, QUEUE_FULL
        case InflightExceeded():
            return REJECTED, MEMORY
        case ModelNotReady():
            return REJECTED, NOT_READY
        case DeadlineExceeded():
            return DEADLINE, "deadline"
        case ClientDisconnected() | CancelledError():
            return CANCELLED, "caller_left"
        case InvalidInput() | Unsupported():
            return INVALID, "invalid"
    return FAILED, "failed"


@dataclass(slots=True)
class ModelMetrics:
    """One version of one model.

    A request ends in exactly one of `observe_request` (answered) and `fail`. `in_flight` says how many are
    under way.
    """

    name: str
    version: int
    in_flight: int = 0
    requests: Distribution = field(default_factory=lambda: Distribution(_REQUEST_NS))
    stages: tuple[Distribution, ...] = field(
        default_factory=lambda: tuple(Distribution(_STAGE_NS) for _ in STAGES)
    )
    batch_rows: Distribution = field(default_factory=lambda: Distribution(ROWS))
    batches: dict[int, Tally] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    rejections: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    last_inference_ms: int = 0
    """Unix time in milliseconds of the last batch; 0 before the first."""
    confidence: Distribution = field(default_factory=lambda: Distribution(_CONFIDENCE))
    """Millionths of the probability of each answered label."""
    labels: dict[str, Share] = field(default_factory=lambda: defaultdict(Share))
    outliers: int = 0
    tokens: int = 0
    """Words of texts, or items of histories, that were read; `unknown` of them meant nothing to the model."""
    unknown: int = 0
    truncated: int = 0
    """Texts that were longer than the model reads."""
    explanations: int = 0
    """Instances whose answer was explained: no requests of `requests`, whose seconds are those of a prediction."""
    exemplars: dict[int, tuple[str, float, float]] = field(default_factory=dict)
    """Trace id, seconds and Unix time of the last traced request, by bucket of `requests`."""

    def observe_request(self, times: StageTimes, rows: int, seconds_total: float) -> None:
        """An answered request: its stages, its rows, and the seconds from its first byte to its last."""
        decode, preprocess, queue, run, postprocess, encode = self.stages
        decode.observe(times.decode)
        preprocess.observe(times.preprocess)
        queue.observe(times.queue)
        run.observe(times.run)
        postprocess.observe(times.postprocess)
        encode.observe(times.encode)
        self.requests.observe(int(seconds_total * _NS))
        self.rows += rows

    def observe_explanations(self, count: int, rows: int) -> None:
        """An answered `:explain` of `count` instances, for which `rows` rows were run."""
        self.explanations += count
        self.rows += rows

    def observe_batch(self, rows: int, requests: int, run_ns: int) -> None:
        """One run of the graph over `rows` rows of `requests` requests."""
        self.batch_rows.observe(rows)
        self.last_inference_ms = int(time() * 1e3)
        tally = self.batches.get(rows)
        if tally is None:
            tally = self.batches[rows] = Tally()
        tally.count += 1
        tally.ns += run_ns

    def exemplify(self, trace_id: str, seconds: float) -> None:
        """A traced request that may stand for its bucket."""
        self.exemplars[bisect_left(SECONDS, seconds)] = trace_id, seconds, time()

    def observe_predictions(self, predictions: Iterable[Prediction]) -> None:
        """The answered labels with their probability, the outliers, and how much of the input was understood."""
        for prediction in predictions:
            label = prediction.get("label")
            if label is not None:
                self._observe_label(label, prediction)
            unknown = prediction.get("unknown")
            if unknown is not None:
                self._observe_reading(unknown, prediction)

    def _observe_label(self, label: str, prediction: Prediction) -> None:
        millionths = round(prediction["probability"] * MILLIONTHS)
        self.confidence.observe(millionths)
        share = self.labels[label]
        share.count += 1
        share.millionths += millionths
        if prediction.get("outlier"):
            self.outliers += 1

    def _observe_reading(self, unknown: int | list[Any], prediction: Prediction) -> None:
        if isinstance(unknown, int):  # of a text: `tokens` were read, `unknown` among them
            self.tokens += prediction["tokens"]
            self.unknown += unknown
            self.truncated += prediction["truncated"]
        else:  # of a history: items that the catalogue has, and those that it has not
            self.tokens += prediction.get("known", 0) + len(unknown)
            self.unknown += len(unknown)

    def fail(self, error: BaseException) -> None:
        """A request that was not answered, and why."""
        outcome, reason = classify(error)
        self.outcomes[outcome] += 1
        if outcome == REJECTED:
            self.rejections[reason] += 1

    def triton_failures(self) -> dict[str, int]:
        """Requests that failed, by Triton's reasons: full queues, timeouts, disconnected clients, our own faults.

        Triton counts nothing that it refuses before it is queued: a client's mistake, a model that is not ready.
        """
        return {
            "REJECTED": self.rejections[QUEUE_FULL] + self.rejections[LOW_FULL] + self.outcomes[DEADLINE],
            "CANCELED": self.outcomes[CANCELLED],
            "BACKEND": self.outcomes[FAILED],
            "OTHER": 0,
        }

    @property
    def successes(self) -> int:
        """How many requests were answered."""
        return self.requests.count

    @property
    def executions(self) -> int:
        """How many runs of the graph there were."""
        return self.batch_rows.count
