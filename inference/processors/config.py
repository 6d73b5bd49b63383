"""Every parameter of every processor, as the manifest carries them. None has a default."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Config(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TensorConfig(_Config):
    """Tensors go in and come out as they are."""

    kind: Literal["tensor"]


class ImageConfig(_Config):
    """From an encoded picture to uint8 pixels [1, height, width, channels].

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
    max_pixels: int = Field(gt=0, description="width × height of the largest picture that is decoded")


class RecommendationConfig(_Config):
    """From a history of external ids, or a user's id, to item indexes; and from scores to the best items."""

    kind: Literal["recommendation"]
    subject: Literal["history", "user"] = Field(description="what an instance gives, and the graph's input")
    max_history: int = Field(gt=0, description="items; the newest of a longer history are used")
    default_k: int = Field(gt=0, description="items in an answer when the instance does not say")
    max_k: int = Field(gt=0, description="items in an answer at most")
    filter_history: bool = Field(description="whether items of the history are left out of the answer")


ProcessorConfig = Annotated[TensorConfig | ImageConfig | RecommendationConfig, Field(discriminator="kind")]
