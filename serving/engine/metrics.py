"""Counters of a model while it answers. `serving.observe.exposition` shows them.

Plain integers in plain lists, or in the same number of cells that outlive a worker (`engine.cells`): an observation
costs a bisect and two additions, takes no lock and makes no object. Everything is added to on the event loop only, and
read there.
"""

from asyncio import CancelledError
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from serving.engine.cells import Cells, Numbers, PrivateNumbers
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
_BELOW_ALL = -(1 << 63)


class Distribution:
    """A histogram of whole numbers, which knows its sum exactly. Bounds are inclusive."""

    __slots__ = ("_cells", "_edges")

    def __init__(self, bounds: tuple[int, ...], cells: Cells | None = None) -> None:
        """`cells`: as many as there are bounds, and two: the sum, then the counts, the last for values above."""
        self._edges = (_BELOW_ALL, *bounds)  # so that a place found among them is that of the count
        self._cells = [0] * (len(bounds) + 2) if cells is None else cells

    def observe(self, value: int) -> None:
        """Count one value."""
        cells = self._cells
        if value:
            cells[bisect_left(self._edges, value)] += 1
            cells[0] += value
        else:
            cells[1] += 1

    @property
    def counts(self) -> Sequence[int]:
        """How many values lay in each bucket; the last is above every bound."""
        return self._cells[1:]

    @property
    def total(self) -> int:
        """The sum of all values."""
        return self._cells[0]

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.counts)


def _nanoseconds(seconds: tuple[float, ...]) -> tuple[int, ...]:
    return tuple(round(bound * _NS) for bound in seconds)


_REQUEST_NS = _nanoseconds(SECONDS)
_STAGE_NS = _nanoseconds(STAGE_SECONDS)
_CONFIDENCE = tuple(round(bound * MILLIONTHS) for bound in CONFIDENCE)


class Tally:
    """How often something happened, and the sum of an amount: nanoseconds of runs, millionths of a probability."""

    __slots__ = ("cells",)

    def __init__(self, cells: Cells) -> None:
        """`cells`: the count and the sum, to which `ModelMetrics` adds without a call."""
        self.cells = cells

    @property
    def count(self) -> int:
        """How often it happened."""
        return self.cells[0]

    @property
    def total(self) -> int:
        """The sum of the amounts."""
        return self.cells[1]


class Counted(Mapping[str, int]):
    """How often each word of a fixed list was counted; like a `Counter`, it has the words that were."""

    def __init__(self, words: Sequence[str], cells: Cells) -> None:
        """`cells`: one for each word."""
        self._places, self._cells = {word: place for place, word in enumerate(words)}, cells

    def add(self, word: str) -> None:
        """Count a word of the list."""
        self._cells[self._places[word]] += 1

    def __getitem__(self, word: str) -> int:
        return self._cells[self._places[word]]

    def __iter__(self) -> Iterator[str]:
        return (word for word, place in self._places.items() if self._cells[place])

    def __len__(self) -> int:
        return sum(1 for _ in self)


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


_BATCH, _LABEL = "batch/", "label/"  # begin the keys of numbers whose names come with the requests
_ROWS, _LAST, _OUTLIERS, _TOKENS, _UNKNOWN, _TRUNCATED, _EXPLANATIONS, _SINGLE = range(8)


class ModelMetrics:
    """One version of one model.

    A request ends in exactly one of `observe_request` (answered) and `fail`. `in_flight` says how many are
    under way.
    """

    __slots__ = (
        "_numbers", "_single", "batch_rows", "batches", "confidence", "drift", "exemplars", "in_flight", "labels",
        "name", "outcomes", "rejections", "requests", "stages", "version",
    )  # fmt: skip

    def __init__(self, name: str, version: int, numbers: Numbers | None = None) -> None:
        """`numbers`: the places of its counts, as another process left them; None: lists of its own."""
        self._numbers = numbers = numbers or PrivateNumbers()
        self.name, self.version = name, version
        self.in_flight = 0

        def distribution(key: str, bounds: tuple[int, ...]) -> Distribution:
            return Distribution(bounds, numbers.cells(key, len(bounds) + 2))

        self.requests = distribution("requests", _REQUEST_NS)
        self.stages = tuple(distribution(f"stage/{stage}", _STAGE_NS) for stage in STAGES)
        self.batch_rows = distribution("batch_rows", ROWS)
        self.confidence = distribution("confidence", _CONFIDENCE)
        """Millionths of the probability of each answered label."""
        self.outcomes = Counted(OUTCOMES, numbers.cells("outcomes", len(OUTCOMES)))
        self.rejections = Counted(REASONS, numbers.cells("rejections", len(REASONS)))
        self.drift = numbers.cells("drift", 3)
        """Rows, windows and alarms of `engine.drift`."""
        self._single = numbers.cells("single", _SINGLE)
        self.batches = {int(rows): self._tally(_BATCH + rows) for rows in numbers.left(_BATCH)}
        """Runs by their rows, with nanoseconds."""
        self.labels = {label: self._tally(_LABEL + label) for label in numbers.left(_LABEL)}
        """Answers by their label, with millionths of its probability."""
        self.exemplars: dict[int, tuple[str, float, float]] = {}
        """Trace id, seconds and Unix time of the last traced request, by bucket of `requests`."""

    def _tally(self, key: str) -> Tally:
        return Tally(self._numbers.cells(key, 2))

    @property
    def rows(self) -> int:
        """Rows of answered requests."""
        return self._single[_ROWS]

    @property
    def last_inference_ms(self) -> int:
        """Unix time in milliseconds of the last batch; 0 before the first."""
        return self._single[_LAST]

    @property
    def outliers(self) -> int:
        """Answers to inputs unlike those of training."""
        return self._single[_OUTLIERS]

    @property
    def tokens(self) -> int:
        """Words of texts, or items of histories, that were read; `unknown` of them meant nothing to the model."""
        return self._single[_TOKENS]

    @property
    def unknown(self) -> int:
        """Those of `tokens` that the model does not know."""
        return self._single[_UNKNOWN]

    @property
    def truncated(self) -> int:
        """Texts that were longer than the model reads."""
        return self._single[_TRUNCATED]

    @property
    def explanations(self) -> int:
        """Instances whose answer was explained: no requests of `requests`, whose seconds are those of a prediction."""
        return self._single[_EXPLANATIONS]

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
        self._single[_ROWS] += rows

    def observe_explanations(self, count: int, rows: int) -> None:
        """An answered `:explain` of `count` instances, for which `rows` rows were run."""
        self._single[_EXPLANATIONS] += count
        self._single[_ROWS] += rows

    def observe_batch(self, rows: int, requests: int, run_ns: int) -> None:
        """One run of the graph over `rows` rows of `requests` requests."""
        self.batch_rows.observe(rows)
        self._single[_LAST] = int(time() * 1e3)
        tally = self.batches.get(rows)
        if tally is None:
            tally = self.batches[rows] = self._tally(f"{_BATCH}{rows}")
        cells = tally.cells
        cells[0] += 1
        cells[1] += run_ns

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
        tally = self.labels.get(label)
        if tally is None:
            tally = self.labels[label] = self._tally(_LABEL + label)
        cells = tally.cells
        cells[0] += 1
        cells[1] += millionths
        if prediction.get("outlier"):
            self._single[_OUTLIERS] += 1

    def _observe_reading(self, unknown: int | list[Any], prediction: Prediction) -> None:
        if isinstance(unknown, int):  # of a text: `tokens` were read, `unknown` among them
            self._single[_TOKENS] += prediction["tokens"]
            self._single[_UNKNOWN] += unknown
            self._single[_TRUNCATED] += prediction["truncated"]
        else:  # of a history: items that the catalogue has, and those that it has not
            self._single[_TOKENS] += prediction.get("known", 0) + len(unknown)
            self._single[_UNKNOWN] += len(unknown)

    def fail(self, error: BaseException) -> None:
        """A request that was not answered, and why."""
        outcome, reason = classify(error)
        self.outcomes.add(outcome)
        if outcome == REJECTED:
            self.rejections.add(reason)

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
