"""The parameters of each processor, as the manifest carries them. None has a default, and each number has its bounds.

The bounds are generous: they are there so that no bundle can ask for a terabyte. The manifest and the processors both
import this module, and neither imports the other.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

MOST_SIDE = 1 << 14
"""Pixels of a side of the image that a graph takes."""

MOST_PIXELS = 1 << 28
"""Of an image that is decoded: 0.8 GB in three colours."""

MOST_TOKENS = 1 << 20
"""Of a text, or items of a history: one row of the graph's input."""

MOST_CHARACTERS = 1 << 26
"""As many bytes as a body has, by default."""

MOST_CLASSES = 1 << 20
"""Labels of a classifier, or rows of one table of results."""

Line = Annotated[str, Field(max_length=1024)]
"""A name or a word."""

Prose = Annotated[str, Field(max_length=1 << 16)]
"""A description or a command."""

Share = Annotated[float, Field(ge=0, le=1)]

Count = Annotated[int, Field(ge=0, lt=1 << 63)]
"""A number of rows, weights or bytes."""

Size = Annotated[int, Field(gt=0, lt=1 << 63)]
"""A `Count` of something that is there."""

SOON = FailFast()
"""For long lists: the first fault is enough, and ten million of them would take gigabytes to tell."""


class Record(BaseModel):
    """A frozen part of the manifest that refuses unknown fields, and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TensorConfig(Record):
    """Tensors go in and come out as they are."""

    kind: Literal["tensor"]


class ImageConfig(Record):
    """From an encoded image to uint8 pixels [1, height, width, channels].

    Scale, mean and standard deviation are nodes of the graph and so not here.
    """

    kind: Literal["image"]
    height: int = Field(gt=0, le=MOST_SIDE, description="pixels")
    width: int = Field(gt=0, le=MOST_SIDE, description="pixels")
    mode: Literal["L", "RGB"]
    fit: Literal["stretch", "crop"] = Field(
        description="stretch: resize to height × width; crop: resize the shorter side, keep the middle"
    )
    interpolation: Literal["bilinear", "bicubic", "lanczos"]
    background: int = Field(ge=0, le=255, description="grey level that shows through transparent pixels")
    max_pixels: int = Field(
        gt=0, le=MOST_PIXELS, description="width × height of the largest image that is decoded"
    )


class TextConfig(Record):
    """From a text to token ids int64 [1, length], with padding only in a batch and only at the end.

    Lower-casing, splitting and the vocabulary are `tokenizer.json`.
    """

    kind: Literal["text"]
    max_length: int = Field(gt=0, le=MOST_TOKENS, description="tokens; the rest of a longer text is not read")
    length_buckets: Annotated[tuple[Size, ...], SOON] = Field(
        min_length=1, max_length=1024, description="tokens, rising; only texts of one bucket share a batch"
    )
    pad_id: int = Field(ge=0, lt=1 << 31, description="fills a batch; the graph gives it no meaning")
    unknown_id: int = Field(ge=0, lt=1 << 31, description="stands for a word that is not in the vocabulary")
    max_characters: int = Field(
        gt=0,
        le=MOST_CHARACTERS,
        description="of the longest text that is tokenized; above it is refused",
    )

    @model_validator(mode="after")
    def _buckets_reach_the_longest(self) -> Self:
        if list(self.length_buckets) != sorted(set(self.length_buckets)):
            raise ValueError(f"length_buckets: got {self.length_buckets}, expected them to rise")
        if self.length_buckets[-1] != self.max_length:
            raise ValueError(
                f"length_buckets: the last is {self.length_buckets[-1]}, expected max_length, {self.max_length}"
            )
        return self


class RecommendationConfig(Record):
    """From a history of external ids, or a user's id, to item indexes; and from scores to the best items."""

    kind: Literal["recommendation"]
    subject: Literal["history", "user"] = Field(description="what an instance gives, and the graph's input")
    max_history: int = Field(
        gt=0, le=MOST_TOKENS, description="items; the newest of a longer history are used"
    )
    default_k: int = Field(
        gt=0, le=MOST_TOKENS, description="items in an answer when the instance does not say"
    )
    max_k: int = Field(gt=0, le=MOST_TOKENS, description="items in an answer at most")
    filter_history: bool = Field(description="whether items of the history are left out of the answer")

    @model_validator(mode="after")
    def _default_is_allowed(self) -> Self:
        if self.default_k > self.max_k:
            raise ValueError(f"default_k: got {self.default_k}, expected at most max_k, {self.max_k}")
        return self


ProcessorConfig = Annotated[
    TensorConfig | ImageConfig | TextConfig | RecommendationConfig, Field(discriminator="kind")
]


Score = Literal["lac", "aps", "raps"]
"""How a label is scored for a prediction set: see `inference.processors.prediction_sets`."""

MOST_PENALTY = 100.0

Quantile = Annotated[float, Field(ge=0, le=1 + MOST_PENALTY * MOST_CLASSES)]
"""Of scores: at most 1, but for the penalties of raps."""


class Conformal(Record):
    """Prediction sets by conformal calibration: the labels whose score is within a quantile.

    `quantiles` maps a coverage, such as "0.95", to the quantile of the calibration rows; `covered` to the share of
    test rows whose truth was within. A version published before `score` has the score lac, one quantile for all
    classes, and nothing of the fields that have a default here.
    """

    quantiles: dict[Line, Quantile] = Field(min_length=1, max_length=100)
    covered: dict[Line, Share] = Field(max_length=100)
    default: Line = Field(description="the coverage that `label_set` answers with")
    score: Score = "lac"
    penalty: float = Field(
        0.0, ge=0, le=MOST_PENALTY, description="of raps, for each rank beyond the free ones"
    )
    free_ranks: int = Field(0, ge=0, le=MOST_CLASSES, description="of raps")
    by: Literal["all", "class"] = Field(
        "all", description="whom the coverage is promised to: all rows together, or the rows of each class"
    )
    class_quantiles: dict[Line, Annotated[tuple[Quantile, ...], SOON]] = Field(
        default_factory=dict,
        max_length=100,
        description="the quantile of each class, in the order of the labels",
    )
    rows: Count = Field(0, description="calibration rows; 0: published before they were counted")
    apart: bool = Field(
        False, description="whether the calibration rows chose neither the epoch nor the temperature"
    )
    standard_error: dict[Line, Share] = Field(
        default_factory=dict,
        max_length=100,
        description="of the coverage, from the number of calibration rows",
    )
    sizes: dict[Line, float] = Field(
        default_factory=dict, max_length=100, description="labels in a set on test, in the mean"
    )
    lowest: dict[Line, Share] = Field(
        default_factory=dict,
        max_length=100,
        description="on test, the coverage of the class that has the least",
    )

    @model_validator(mode="after")
    def _default_is_one(self) -> Self:
        if self.default not in self.quantiles:
            raise ValueError(f"default: got {self.default!r}, expected one of {sorted(self.quantiles)}")
        return self

    @model_validator(mode="after")
    def _quantiles_are_scores(self) -> Self:
        found = [*self.quantiles.values(), *(q for each in self.class_quantiles.values() for q in each)]
        if self.score != "raps" and max(found) > 1:
            raise ValueError(f"quantiles: got {max(found)}, expected at most 1 of the score {self.score}")
        return self

    @model_validator(mode="after")
    def _classes_have_quantiles(self) -> Self:
        expected = set(self.quantiles) if self.by == "class" else set()
        if set(self.class_quantiles) != expected:
            raise ValueError(
                f"class_quantiles: got {sorted(self.class_quantiles)}, expected {sorted(expected)} by {self.by!r}"
            )
        if len(counts := {len(each) for each in self.class_quantiles.values()}) > 1:
            raise ValueError(
                f"class_quantiles: got {sorted(counts)} classes, expected as many for each coverage"
            )
        return self


class OutOfDistribution(Record):
    """The energy score -logsumexp(logits) (Liu et al. 2020); above the threshold a row is an outlier."""

    threshold: float = Field(ge=-1e6, le=1e6)
    false_alarm_rate: Share = Field(description="share of validation rows above the threshold")
