"""The graphs of the benchmarks run in ONNX Runtime, and are the same each time."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.bare import example_row
from benchmarks.graphs import TINY, write_brightness, write_mlp, write_text
from benchmarks.photos import make_photos
from inference.runtime.session import OrtSession


def _answer(folder: Path) -> np.ndarray:
    session = OrtSession(folder / "1/model.onnx", folder / "1")
    (spec,) = session.inputs
    return session.run({spec.name: example_row(spec)})["y"]


def test_a_perceptron_answers_alike_each_time_it_is_written(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_mlp(tmp_path, name, TINY)
    answer = _answer(tmp_path / "one")
    assert answer.shape == (1, TINY[-1])
    np.testing.assert_array_equal(answer, _answer(tmp_path / "other"))


def test_the_encoder_takes_ids_and_gives_four_numbers(tmp_path: Path) -> None:
    write_text(tmp_path, layers=1)
    answer = _answer(tmp_path / "text")
    assert answer.shape == (1, 4)
    assert np.isfinite(answer).all()


def test_brightness_is_the_mean_of_each_channel(tmp_path: Path) -> None:
    write_brightness(tmp_path)
    session = OrtSession(tmp_path / "brightness/1/model.onnx", tmp_path / "brightness/1")
    pixels = np.zeros((1, 3, 224, 224), np.float32)
    pixels[0, 1] = 2.0
    assert session.run({"x": pixels})["y"] == pytest.approx(np.array([[0, 2, 0]]))


def test_photographs_are_jpegs_of_a_photographs_size() -> None:
    (photo,) = make_photos(1, (50, 40))
    assert photo.startswith(b"\xff\xd8")
    assert photo == make_photos(1, (50, 40))[0]
    assert 20_000 < len(make_photos(1)[0]) < 200_000
