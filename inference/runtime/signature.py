"""The inputs and outputs of a loaded graph, from ONNX Runtime's types to those of the Open Inference Protocol."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from inference.errors import GraphInvalid, shorten
from inference.manifest import TensorSpec
from inference.values import Array, DataType

# The type of a scikit-learn classifier's output in ONNX without `zipmap: False`: a dict of label and probability for
# each row. ONNX Runtime 1.32 sorts it by label, whatever the order of the classes was. Clients of the protocol get the
# probabilities in that order.
ZIPPED = re.compile(r"seq\(map\((?:int64|string),tensor\((float|double)\)\)\)")


def specs_of(arguments: Sequence[Any], bundle: Path) -> tuple[TensorSpec, ...]:
    return tuple(_bounded(argument, bundle) for argument in arguments)


def _bounded(argument: Any, bundle: Path) -> TensorSpec:
    try:
        return _spec(argument, bundle)
    except ValidationError as error:
        raise GraphInvalid(bundle, f"{shorten(argument.name)}: {error.errors()[0]['msg']}") from error


def _spec(argument: Any, bundle: Path) -> TensorSpec:
    zipped = ZIPPED.fullmatch(argument.type)
    if zipped is not None:
        return TensorSpec(
            name=argument.name, datatype=DataType.from_onnx(f"tensor({zipped[1]})"), shape=(-1, -1)
        )
    try:
        datatype = DataType.from_onnx(argument.type)
    except KeyError:
        expected = "a tensor of a type that the Open Inference Protocol has"
        raise GraphInvalid(bundle, f"{argument.name}: got {argument.type}, expected {expected}") from None
    # ONNX Runtime gives a symbolic axis as its name and an unknown one as None.
    shape = tuple(axis if isinstance(axis, int) else -1 for axis in argument.shape)
    return TensorSpec(name=argument.name, datatype=datatype, shape=shape)


def unzip(rows: Sequence[Mapping[Any, float]], datatype: DataType) -> Array:
    """Probabilities [rows, classes] from a dict a row, by ascending label."""
    return np.array([list(row.values()) for row in rows], datatype.dtype)
