"""The three ways to an 8-bit graph, from a file to a file; `training.release.quantize` decides which is taken.

Static quantization stores weights and activations in 8 bits; the range of each activation is measured on rows of
train. Dynamic quantization stores the weights and measures activations in every run. `training.release.tables` stores
lookup tables in 8 bits and computes in float32.
"""

import logging
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from inference.values import Tensors
from training.data.examples import Batch, as_arrays
from training.release.outliers import nodes_of_the_score
from training.release.tables import shrink_tables
from training.tasks.base import Int8Method, Task, TaskData

CALIBRATION_ROWS, CALIBRATION_BATCH = 256, 32
"""Rows of train on which the ranges of activations are measured, and as many at once."""

# Weights of 7 bits: with 8, processors without VNNI saturate when they add two products (ONNX Runtime's
# documentation, "Quantize ONNX models", on U8S8), and a bundle is served by more machines than this one.
REDUCE_RANGE = True

STATIC_OPERATORS = ["Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool", "AveragePool", "GlobalAveragePool"]
"""Neither the scaling of the pixels, which needs more than 8 bits, nor the softmax."""


def write_quantized(method: Int8Method, task: Task, graph: Path, data: TaskData[Any], target: Path) -> None:
    """Write `graph` as that method quantizes it."""
    if method == "tables":
        onnx.save(shrink_tables(onnx.load(graph)), target)
        return
    with TemporaryDirectory() as folder, warnings.catch_warnings(), _quiet():
        warnings.simplefilter("ignore")  # the quantizer's own advice to its authors
        prepared = Path(folder) / "prepared.onnx"
        # Folds batch norm into the layer before it, which a quantized layer could no longer take in.
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        options = {
            "nodes_to_exclude": nodes_of_the_score(onnx.load(prepared)),
            "per_channel": True,
            "reduce_range": REDUCE_RANGE,
            "weight_type": QuantType.QInt8,
        }
        if method == "dynamic":
            # Its own rewriting of a Gemm contradicts the shapes that were inferred before.
            model = onnx.load(prepared)
            del model.graph.value_info[:]
            quantize_dynamic(model, target, **options)
        else:
            quantize_static(
                prepared,
                target,
                _Calibration(_calibration_batches(task, data)),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                op_types_to_quantize=STATIC_OPERATORS,
                # Logits of 8 bits would lie on 256 steps; and attention multiplies two activations.
                extra_options={
                    "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],
                    "MatMulConstBOnly": True,
                },
                **options,
            )
            # The quantizer leaves lookup tables as they are, and they are most of a text model.
            onnx.save(shrink_tables(onnx.load(target)), target)


class _Calibration(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no stubs
    """Batches of train as ONNX Runtime asks for them."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._batches = batches

    def get_next(self) -> Tensors | None:
        batch = next(self._batches, None)
        return None if batch is None else as_arrays(batch)


def _calibration_batches(task: Task, data: TaskData[Any]) -> Iterator[Batch]:
    rows = random.Random(0).sample(range(len(data.train)), min(CALIBRATION_ROWS, len(data.train)))
    for start in range(0, len(rows), CALIBRATION_BATCH):
        chosen: Sequence[int] = rows[start : start + CALIBRATION_BATCH]
        yield task.inputs(data.train.batch(torch.tensor(chosen), torch.Generator()))


class _quiet:  # noqa: N801 - reads as the verb it is
    """Silences the quantizer's lines in the root logger, some at every graph."""

    def __enter__(self) -> None:
        self._disabled = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._disabled)
