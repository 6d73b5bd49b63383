"""Manifests with the parts that a codec reads, and no others."""

from collections.abc import Sequence
from typing import Any

from inference.manifest import Manifest, TensorSpec
from inference.values import DataType


def spec(name: str, datatype: DataType, *shape: int) -> TensorSpec:
    return TensorSpec(name=name, datatype=datatype, shape=shape, any_shape=False)


def manifest(
    inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec] = (), max_batch_size: int = 64
) -> Manifest:
    """Not validated, since a whole one has graphs and files."""
    read: dict[str, Any] = {
        "name": "m", "version": 1, "inputs": tuple(inputs), "outputs": tuple(outputs), "max_batch_size": max_batch_size
    }  # fmt: skip
    return Manifest.model_construct(**read)
