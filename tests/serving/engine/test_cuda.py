"""The server on a GPU: the shipped models answer there as on the CPU. Skipped where ONNX Runtime has no CUDA."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from inference.runtime.providers import CUDA
from tests.devices import with_cuda
from tests.serving.servers import start

pytestmark = with_cuda


def picture(seed: int) -> str:
    """28×28 pixels in PNG and base64: a bright rectangle, some noise."""
    pixels = np.random.default_rng(seed).integers(0, 40, (28, 28)).astype(np.uint8)
    pixels[4:24, 8:20] += 180
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


ASKED: dict[str, Any] = {
    "reviews": ["A wonderful film, moving from its first minute.", "Two hours that I shall not get back."],
    "fashion": [{"b64": picture(seed)} for seed in (1, 2)],
}


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    """By device and model."""
    found: dict[str, dict[str, Any]] = {}
    for device in ("cpu", "cuda", "auto"):
        with (
            start(models=Path("models"), device=device, precision=None) as running,
            httpx.Client(base_url=running.url, timeout=60) as client,
        ):
            found[device] = {"metrics": client.get("/metrics").text}
            for model, instances in ASKED.items():
                answer = client.post(f"/v1/models/{model}:predict", json={"instances": instances})
                assert answer.status_code == 200, answer.text
                found[device][model] = answer.json()["predictions"]
                profile = client.get(f"/v2/models/{model}/profile")
                found[device][f"{model} profile"] = profile.json()
    return found


def test_every_model_runs_on_the_GPU_in_fp32(answers: dict[str, dict[str, Any]]) -> None:  # noqa: N802
    for device in ("cuda", "auto"):
        lines = [
            line for line in answers[device]["metrics"].splitlines() if line.startswith("baton_model_info{")
        ]
        assert len(lines) == 4
        assert all(f'provider="{CUDA}"' in line and 'precision="fp32"' in line for line in lines)


@pytest.mark.parametrize("model", ASKED)
def test_answers_are_the_same(answers: dict[str, dict[str, Any]], model: str) -> None:
    def top(device: str) -> list[Any]:
        return [prediction["label"] for prediction in answers[device][model]]

    assert top("cpu") == top("cuda") == top("auto")


@pytest.mark.parametrize("model", ASKED)
def test_what_was_measured_is_published(answers: dict[str, dict[str, Any]], model: str) -> None:
    assert answers["cuda"][f"{model} profile"]
