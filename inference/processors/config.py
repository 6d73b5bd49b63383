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


ProcessorConfig = Annotated[TensorConfig | ImageConfig, Field(discriminator="kind")]
