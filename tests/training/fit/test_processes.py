"""Two processes that torchrun or Fabric starts learn what one does with the doubled batch, and publish once."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from tests.training.fixed import FIXED
from training.config import load_config
from training.data.examples import Loader
from training.data.vision import Images
from training.errors import ConfigError
from training.fit.checkpoint import read_checkpoint
from training.fit.processes import Processes, is_first, leave_group, processes
from training.pipeline import train

# Neither dropout nor batch norm: those differ where a batch is cut in two.
MODEL = ("--data", "digits", "--name", "digits", "--arch", "vit")
OPTIONS = ("--model", '{"patch": 4, "width": 16, "depth": 1, "heads": 2, "dropout": 0}')
SHORT = ("--epochs", "3", "--optimizer", "sgd", "--learning-rate", "0.1", "--ema", "0.9")
PRUNED = ("--prune", "0.3", "--prune-epochs", "1")
BATCH = 64

# Behind `--`, since torchrun would take our --run for the beginning of an option of its own.
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--")
TIMEOUT_S = 1200


def flags(root: Path, batch: int) -> tuple[str, ...]:
    paths = ("--models", str(root / "models"), "--run", str(root / "run"), "--no-robustness")
    return (*MODEL, *OPTIONS, *FIXED, *SHORT, *PRUNED, *paths, "--batch-size", str(batch))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("alone")
    train(load_config("vision", flags(root, BATCH)))
    return root


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "more"), [(TORCHRUN, ()), (("-m",), ("--devices", "2"))], ids=["torchrun", "--devices 2"]
)
def test_two_processes_learn_what_one_does_with_the_doubled_batch(
    alone: Path, tmp_path: Path, launcher: Sequence[str], more: Sequence[str]
) -> None:
    command = [sys.executable, *launcher, "training", "vision", *flags(tmp_path, BATCH // 2), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    for name in ("best.ckpt", "resume.ckpt"):
        one, two = (read_checkpoint(root / "run" / "checkpoints" / name) for root in (alone, tmp_path))
        assert one["global_step"] == two["global_step"]
        for key, value in one["state_dict"].items():
            if value.is_floating_point():
                torch.testing.assert_close(two["state_dict"][key], value, rtol=1e-3, atol=1e-4, msg=key)
    scores = [json.loads((root / "run" / "fit.json").read_text())["score"] for root in (alone, tmp_path)]
    assert scores[1] == pytest.approx(scores[0], abs=0.01)
    # The first process alone tells, and one bundle is there.
    said = done.stdout + done.stderr
    assert [said.count(word) for word in ("data: digits", "fit: best", "published ")] == [1, 1, 1]
    assert [entry.name for entry in (tmp_path / "models" / "digits").iterdir()] == ["1"]


@pytest.mark.parametrize("rows", [2, 7, 500, 1001])
def test_every_process_has_a_row_of_every_validation_batch_and_all_have_each_row_once(rows: int) -> None:
    examples = Images(torch.arange(rows).reshape(rows, 1, 1, 1).to(torch.uint8), torch.arange(rows))
    shares = [
        [batch["label"] for batch in Loader(examples, 250, seed=0, training=False, rank=rank, world=2)]
        for rank in range(2)
    ]
    assert len(shares[0]) == len(shares[1])
    assert all(len(batch) for share in shares for batch in share)
    assert torch.cat([torch.cat(share) for share in shares]).sort().values.tolist() == list(range(rows))


def test_torchrun_tells_the_processes_and_a_contradiction_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_config("vision", ("--data", "digits", "--arch", "mlp"))
    assert processes(config) == Processes(1, 1)
    assert is_first()
    monkeypatch.setattr("torch.distributed.is_torchelastic_launched", lambda: True)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "6")
    assert processes(config) == Processes(2, 3)
    assert processes(config).all == 6
    with pytest.raises(ConfigError, match="devices: it is 4, and torchrun has started 2 processes here"):
        processes(config.model_copy(update={"devices": 4}))


def test_leaving_a_group_that_there_is_not_is_no_fault() -> None:
    leave_group()
    assert not torch.distributed.is_initialized()
