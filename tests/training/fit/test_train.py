"""A fit from its configuration: its data, device and precision, and the result that is read again."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tests.training.fit.test_loop import configure, run
from training.errors import ConfigError, DataError
from training.fit.train import FitResult, best_model, fit, load_data, open_fabric, read_data
from training.run import RunFiles


def test_half_precision_is_refused_where_it_would_be_another(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="16-mixed, which needs a GPU; expected bf16-mixed or 32-true"):
        run(configure(tmp_path).model_copy(update={"precision": "16-mixed"}))


@pytest.mark.skipif(torch.cuda.is_available(), reason="PyTorch has CUDA here")
def test_a_device_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="accelerator 'gpu', precision '32-true'"):
        run(configure(tmp_path, "--accelerator", "gpu"))


def test_too_few_examples_for_a_batch_are_refused_by_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1258 training examples do not fill a batch of 2000; give a smaller"):
        read_data(configure(tmp_path, "--batch-size", "2000", "--validation", "0.125"))


def test_a_finished_fit_is_read_and_not_repeated(tmp_path: Path) -> None:
    config = configure(tmp_path)
    files, data = RunFiles(config.run_directory), load_data(config, RunFiles(config.run_directory))
    done = FitResult("accuracy", 0.5, epochs=3, steps=15, parameters=7, seconds=0.1)
    files.fit.write_text(json.dumps(asdict(done)))
    assert fit(config, files, data) == done
    assert not files.resume_point.exists()


@pytest.mark.slow
def test_the_best_model_has_the_score_that_the_result_tells(tmp_path: Path) -> None:
    config = configure(tmp_path, "--epochs", "2")
    result = run(config)
    data = read_data(config)
    model = best_model(config, RunFiles(config.run_directory).best, data)
    with torch.inference_mode():
        right = model(data.validation.pixels).argmax(1) == data.validation.labels
    assert right.double().mean().item() == pytest.approx(result.score)
    assert result.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert (result.epochs, result.steps) == (2, 10)


def test_a_fabric_without_a_run_writes_no_log(tmp_path: Path) -> None:
    config = configure(tmp_path)
    assert open_fabric(config).loggers == []
    assert not config.run_directory.exists()
