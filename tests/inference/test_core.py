"""Machine, repository, session and values: the small parts of the core."""

from pathlib import Path

import numpy as np
import pytest

from inference.configs import Conformal, OutOfDistribution
from inference.errors import BatonError, InferenceFailed, ModelNotFound
from inference.processors.base import StackingProcessor
from inference.processors.classification import Classification, energy
from inference.runtime.machine import available_cpus, cpu_quota, gpus
from inference.runtime.session import OrtSession
from inference.store.repository import ModelRepository
from inference.values import DataType
from tests.bundles import sum_graph, write_bare, write_brightness


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_quota_is_read_from_either_cgroup_version(
    tmp_path: Path, files: dict[str, str], quota: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert cpu_quota(tmp_path) == quota


def test_GPUs_are_named_as_the_driver_does(tmp_path: Path) -> None:  # noqa: N802
    assert gpus(tmp_path) == ()
    for slot, model in (("0000:00:07.0", "NVIDIA L4"), ("0000:00:06.0", "NVIDIA H200")):
        (tmp_path / slot).mkdir()
        (tmp_path / slot / "information").write_text(f"Model: \t\t {model}\nBus Type: \t PCIe\n")
    assert gpus(tmp_path) == ("NVIDIA H200", "NVIDIA L4")


def test_threads_are_planned_for_the_quota_rounded_up_and_never_for_none(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("20000 100000")
    assert available_cpus(tmp_path) == 1


def test_the_repository_lists_models_by_integer_versions(tmp_path: Path) -> None:
    write_brightness(tmp_path, version=2)
    write_brightness(tmp_path, version=10)
    write_bare(tmp_path, "flat", sum_graph(), version=None)
    (tmp_path / "notes").mkdir()
    (tmp_path / "brightness" / "latest").mkdir()
    (tmp_path / "brightness" / "11").mkdir()  # being written: its manifest comes last
    repository = ModelRepository(tmp_path)
    assert repository.names() == ["brightness", "flat"]
    assert repository.versions("brightness") == [2, 10]
    assert repository.open("brightness").manifest.version == 10
    assert repository.open("flat").manifest.version == 1
    with pytest.raises(ModelNotFound):
        repository.path("brightness", 3)
    with pytest.raises(ModelNotFound):
        repository.path("../brightness")


def test_a_missing_folder_is_an_empty_repository(tmp_path: Path) -> None:
    assert ModelRepository(tmp_path / "nothing").names() == []


def test_a_run_that_fails_says_what_the_runtime_said() -> None:
    session = OrtSession(sum_graph(), Path("models/sum/1"))
    with pytest.raises(InferenceFailed, match="invalid dimensions"):
        session.run({"x": np.zeros((1, 4), np.float32), "y": np.zeros((1, 3), np.float32)})


def test_every_datatype_has_a_numpy_and_an_onnx_type() -> None:
    for datatype in DataType:
        assert DataType.from_onnx(datatype.onnx) is datatype
        assert isinstance(datatype.dtype, np.dtype)


def test_what_was_collated_is_split_again() -> None:
    processor = StackingProcessor()
    parts = [{"x": np.arange(size * 2).reshape(size, 2)} for size in (2, 1, 3)]
    batch = processor.collate(parts)
    assert batch["x"].shape == (6, 2)
    for part, back in zip(parts, processor.split(batch, [2, 1, 3]), strict=True):
        np.testing.assert_array_equal(part["x"], back["x"])


def test_the_label_set_holds_what_the_quantile_asks_for_and_is_never_empty() -> None:
    conformal = Conformal(quantiles={"0.9": 0.7}, covered={"0.9": 0.91}, default="0.9")
    words = Classification(("a", "b", "c"), conformal, None)
    outputs = {"probabilities": np.array([[0.5, 0.35, 0.15]], np.float32)}
    assert words.answer(outputs)["label_set"] == ["a", "b"]
    flat = {"probabilities": np.array([[0.2, 0.2, 0.2]], np.float32)}
    assert words.answer(flat)["label_set"] == ["a"]


def test_an_input_unlike_the_training_data_is_called_an_outlier() -> None:
    words = Classification(("a", "b"), None, OutOfDistribution(threshold=-2.0, false_alarm_rate=0.01))
    sure, unsure = np.array([[9.0, -9.0]], np.float32), np.array([[0.1, 0.0]], np.float32)
    probabilities = np.array([[0.5, 0.5]], np.float32)
    assert words.answer({"probabilities": probabilities, "logits": sure})["outlier"] is False
    assert words.answer({"probabilities": probabilities, "logits": unsure})["outlier"] is True


def test_energy_agrees_with_its_definition() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_allclose(energy(logits), -np.log(np.exp(logits.astype(float)).sum(axis=1)))


def test_every_error_is_one_of_ours() -> None:
    from inference import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert all(issubclass(kind, BatonError) for kind in kinds)
    drawn = errors.__doc__ or ""
    assert all(kind.__name__ in drawn for kind in kinds)
