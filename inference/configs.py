"""The parameters of each processor, as the manifest carries them. None has a default.

The manifest and the processors both import this module, and neither imports the other.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


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
    height: int = Field(gt=0, description="pixels")
    width: int = Field(gt=0, description="pixels")
    mode: Literal["L", "RGB"]
    fit: Literal["stretch", "crop"] = Field(
        description="stretch: resize to height × width; crop: resize the shorter side, keep the middle"
    )
    interpolation: Literal["bilinear", "bicubic", "lanczos"]
    background: int = Field(ge=0, le=255, description="grey level that shows through transparent pixels")
    max_pixels: int = Field(gt=0, description="width × height of the largest image that is decoded")


class TextConfig(Record):
    """From a text to token ids int64 [1, length], with padding only in a batch and only at the end.

    Lower-casing, splitting and the vocabulary are `tokenizer.json`.
    """

    kind: Literal["text"]
    max_length: int = Field(gt=0, description="tokens; the rest of a longer text is not read")
    length_buckets: tuple[int, ...] = Field(
        min_length=1, description="tokens, rising; only texts of one bucket share a batch"
    )
    pad_id: int = Field(ge=0, description="fills a batch; the graph gives it no meaning")
    unknown_id: int = Field(ge=0, description="stands for a word that is not in the vocabulary")
    max_characters: int = Field(
        gt=0, description="of the longest text that is tokenized; above it is refused"
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
    max_history: int = Field(gt=0, description="items; the newest of a longer history are used")
    default_k: int = Field(gt=0, description="items in an answer when the instance does not say")
    max_k: int = Field(gt=0, description="items in an answer at most")
    filter_history: bool = Field(description="whether items of the history are left out of the answer")


ProcessorConfig = Annotated[
    TensorConfig | ImageConfig | TextConfig | RecommendationConfig, Field(discriminator="kind")
]


class Conformal(Record):
    """Split conformal prediction sets (Sadinle et al. 2019): labels with probability ≥ 1 - quantile.

    `quantiles` maps a coverage, such as "0.95", to the quantile found on validation; `covered` to the share
    of test rows whose set held the truth.
    """

    quantiles: dict[str, float]
    covered: dict[str, float]
    default: str


class OutOfDistribution(Record):
    """The energy score -logsumexp(logits) (Liu et al. 2020); above the threshold a row is an outlier."""

    threshold: float
    false_alarm_rate: float = Field(ge=0, le=1, description="share of validation rows above the threshold")
