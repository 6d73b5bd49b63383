"""Golden examples: raw inputs with PyTorch's own outputs, and the tolerance of int8."""

import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from inference.predictor import Predictor
from inference.proving.golden import Example, Golden
from inference.values import Array, Payload
from training.architectures.classifier import ClassifierGraph, ImageClassifier
from training.config import load_config
from training.release import golden as module
from training.release.golden import GOLDEN_MARGIN, golden_files, golden_tolerance
from training.tasks.registry import find_task


def test_each_example_is_a_file_beside_the_outputs_that_pytorch_gives() -> None:
    task = find_task("vision")
    data = task.load(load_config("vision", ("--data", "digits", "--arch", "mlp")))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    deployed = ClassifierGraph(ImageClassifier(network, [0.3], [0.4]), 1.0).eval()
    contents = golden_files(task, data, deployed)
    examples = json.loads(contents.pop("golden.json"))["examples"]
    rows = task.golden_rows(data)
    assert [example["file"] for example in examples] == [f"golden/{n:02d}.png" for n in range(len(rows))]
    assert contents.keys() == {example["file"] for example in examples}
    probabilities, logits = deployed(data.validation.pixels[rows])
    torch.testing.assert_close(torch.tensor([each["outputs"]["logits"] for each in examples]), logits)
    torch.testing.assert_close(
        torch.tensor([each["outputs"]["probabilities"] for each in examples]), probabilities
    )


def rows(payloads: Sequence[Payload], batch_size: int) -> list[tuple[dict[str, Array], None]]:
    """Answers that are off by 0.2 alone and by 0.4 in a batch."""
    off = 0.2 if batch_size == 1 else 0.4
    return [({"logits": np.array([[1.0, 2.0 + off]])}, None) for _ in payloads]


def test_the_tolerance_of_int8_is_the_worst_of_alone_and_together_with_a_margin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    example = Example(instance="x", outputs={"logits": [1.0, 2.0]})
    golden = Golden(tolerances={"fp32": module.GOLDEN_TOLERANCE}, examples=(example, example))
    monkeypatch.setattr(Golden, "read", classmethod(lambda *_: golden))
    monkeypatch.setattr(module, "payload_of", lambda *_: Payload("x"))
    tolerance = golden_tolerance(cast("Predictor", SimpleNamespace(bundle=None, rows=rows)))
    assert tolerance.atol == pytest.approx(GOLDEN_MARGIN * 0.4 + 1e-3)
    assert tolerance.rtol == 0
