"""The golden examples of a bundle, and how far each precision may be from them on another machine."""

from typing import Any

import numpy as np
import torch
from torch import nn

from inference.predictor import Predictor
from inference.proving.golden import Example, Golden, Tolerance, payload_of
from inference.store.located import GOLDEN_FILE
from training.release.verify import torch_outputs
from training.tasks.base import Task, TaskData, outputs_of

GOLDEN_TOLERANCE = Tolerance(atol=5e-4, rtol=5e-4)
"""Wider than `verify`'s: other processors add in other orders."""

GOLDEN_MARGIN = 1.5
"""Times the largest difference on this machine: other processors may add to it."""


SUFFIXES = {"image/png": "png", "text/plain": "txt", "application/json": "json"}


def golden_files(task: Task, data: TaskData[Any], deployed: nn.Module) -> dict[str, bytes]:
    """`golden.json` and the raw inputs it names: real validation examples with PyTorch's own outputs."""
    contents: dict[str, bytes] = {}
    examples = []
    for number, row in enumerate(task.golden_rows(data)):
        payload = task.payload(data.validation, row)
        tensors = task.inputs(_one(data.validation, row))
        outputs = {
            name: value[0].tolist()
            for name, value in torch_outputs(deployed, tensors, outputs_of(task, deployed)).items()
        }
        if payload.media_type is None:
            examples.append(Example(instance=payload.data, outputs=outputs))
            continue
        name = f"golden/{number:02d}.{SUFFIXES[payload.media_type]}"
        contents[name] = bytes(payload.data)
        examples.append(Example(file=name, media_type=payload.media_type, outputs=outputs))
    golden = Golden(tolerances={"fp32": GOLDEN_TOLERANCE}, examples=tuple(examples))
    return {**contents, GOLDEN_FILE: golden.model_dump_json(indent=1).encode()}


def golden_tolerance(predictor: Predictor) -> Tolerance:
    """How far int8 may be from PyTorch's golden answers: measured as they are replayed, with a margin."""
    golden = Golden.read(predictor.bundle)
    payloads = [payload_of(predictor.bundle, example) for example in golden.examples]
    worst = 0.0
    # Alone and all at once: a batch of another size may be computed by another kernel.
    for batch_size in (1, len(payloads)):
        for (outputs, _), example in zip(predictor.rows(payloads, batch_size), golden.examples, strict=True):
            worst = max(
                worst,
                *(
                    float(np.abs(outputs[name][0] - np.asarray(expected)).max(initial=0))
                    for name, expected in example.outputs.items()
                ),
            )
    return Tolerance(atol=GOLDEN_MARGIN * worst + 1e-3, rtol=0)


def _one(examples: Any, row: int) -> Any:
    return examples.batch(torch.tensor([row]), torch.Generator())
