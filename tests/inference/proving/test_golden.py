"""Golden examples are run alone and together, and one that differs by more than its tolerance refuses the bundle."""

from pathlib import Path

import numpy as np
import pytest

from inference.errors import GoldenMismatch, ManifestInvalid
from inference.predictor import Predictor
from inference.proving.golden import Golden, payload_of, replay
from inference.store.bundle import Bundle, file_record
from inference.store.located import GOLDEN_FILE
from inference.values import Array, Tensors
from tests.bundles import edit_json, write_brightness


class Bent:
    """A session whose logits are off by `error` in batches of more rows than `least`."""

    def __init__(self, predictor: Predictor, error: float, least: int = 0) -> None:
        self.session, self.error, self.least = predictor.session, error, least
        self.rows: list[int] = []

    def run(self, tensors: Tensors) -> dict[str, Array]:
        outputs = self.session.run(tensors)
        self.rows.append(len(outputs["logits"]))
        return {
            **outputs,
            "logits": outputs["logits"] + np.float32(self.error * (self.rows[-1] > self.least)),
        }


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return Predictor.open(write_brightness(tmp_path))


def test_every_example_is_run_alone_and_all_of_them_together(predictor: Predictor) -> None:
    session = Bent(predictor, 1e-6)
    assert replay(predictor.bundle, predictor.processor, session) == 4
    assert session.rows == [1, 1, 1, 1, 4]


@pytest.mark.parametrize(("least", "how"), [(0, "alone"), (1, "in a batch of 4")])
def test_a_difference_over_the_tolerance_is_told_with_both_values(
    predictor: Predictor, least: int, how: str
) -> None:
    with pytest.raises(
        GoldenMismatch, match=rf"golden/0\.png {how}: logits\[.\] is .*, expected .* within 1e-05"
    ):
        replay(predictor.bundle, predictor.processor, Bent(predictor, 0.01, least))


def test_an_example_is_sent_as_a_client_would(predictor: Predictor) -> None:
    example = Golden.read(predictor.bundle).examples[0]
    payload = payload_of(predictor.bundle, example)
    assert (payload.media_type, payload.field) == ("image/png", "golden/0.png")


def test_examples_of_another_schema_are_refused(tmp_path: Path) -> None:
    folder = write_brightness(tmp_path)
    edit_json(folder / GOLDEN_FILE, examples=[])
    files = Bundle.open(write_brightness(tmp_path / "other")).manifest.model_dump()["files"]
    files[GOLDEN_FILE] = file_record((folder / GOLDEN_FILE).read_bytes()).model_dump()
    edit_json(folder / "manifest.json", files=files)
    with pytest.raises(ManifestInvalid, match=r"(?s)golden\.json: .*examples"):
        Golden.read(Bundle.open(folder))
