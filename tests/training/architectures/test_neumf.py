"""NeuMF: its pairs, and its start from a factorisation."""

from pathlib import Path

import pytest
import torch

from tests.training.architectures.recommenders import CATALOGUE, ITEMS, USERS, made
from training.architectures import matrix_factorisation, neumf, recommenders
from training.config import load_config
from training.errors import ConfigError
from training.fit.train import FitResult, fit, load_data
from training.run import open_run


def test_neumf_scores_a_pair_as_it_scores_the_catalogue() -> None:
    model = made("neumf")
    assert isinstance(model, neumf.NeuMF)
    user, item = torch.tensor([0, 3, 8]), torch.tensor([1, 12, 5])
    torch.testing.assert_close(model.pairs(user, item), model(user)[torch.arange(3), item - 1])


def started() -> tuple[matrix_factorisation.MatrixFactorisation, neumf.NeuMF]:
    """A factorisation, and a NeuMF that began as it."""
    source = made("mf")
    model = recommenders.neumf(CATALOGUE, width=4 + neumf.BIASES, layers=(8, 4, 2)).eval()
    assert isinstance(source, matrix_factorisation.MatrixFactorisation)
    model.begin_as(source.state_dict())
    return source, model


def test_neumf_begins_as_the_factorisation_that_it_starts_from() -> None:
    source, model = started()
    torch.testing.assert_close(model(torch.arange(USERS)), source(torch.arange(USERS)))
    user, item = torch.tensor([0, 4, 2]), torch.tensor([1, ITEMS, 3])
    torch.testing.assert_close(model.pairs(user, item), source(user)[torch.arange(3), item - 1])


def test_neumf_learns_with_its_perceptron_what_a_factorisation_left() -> None:
    _, model = started()
    assert model.head_names() | neumf.BODY == {name for name, _ in model.named_parameters()}
    assert model.head_names().isdisjoint(neumf.BODY)
    torch.autograd.backward(model.pairs(torch.tensor([0, 4, 2]), torch.tensor([1, ITEMS, 3])).sum())
    assert model.out.weight.grad is not None
    assert model.out.weight.grad[0, 4 + neumf.BIASES :].abs().sum() > 0


def recommender(tmp_path: Path, arch: str, *flags: str) -> FitResult:
    """One epoch on the embedded shop."""
    fixed = ("--batch-size", "64", "--epochs", "1", "--no-progress",
             "--threads", "1", "--precision", "32-true")  # fmt: skip
    run = tmp_path / f"{arch}{len(list(tmp_path.iterdir()))}"
    config = load_config("recommendation", ["--arch", arch, "--run", str(run), *fixed, *flags])
    files = open_run(config)
    return fit(config, files, load_data(config, files))


MF = ("--model", '{"width": 4}', "--learning-rate", "0.05")


@pytest.fixture(scope="module")
def factorised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FitResult]:
    """The run of a factorisation that others start from, and what came of it."""
    root = tmp_path_factory.mktemp("factorised")
    return root / "mf0", recommender(root, "mf", *MF)


NEUMF = ("--model", '{"width": 6, "layers": [8, 4, 2]}', "--learning-rate", "1e-7")


@pytest.mark.slow
def test_a_run_of_neumf_goes_on_from_one_of_mf(factorised: tuple[Path, FitResult], tmp_path: Path) -> None:
    run, source = factorised
    went_on = recommender(tmp_path, "neumf", "--init-from", str(run), *NEUMF)
    assert went_on.score == pytest.approx(source.score, abs=1e-3)
    new = recommender(tmp_path, "neumf", *NEUMF)
    assert new.score != pytest.approx(source.score, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--seed", "1"), "has held out other events; expected the same data, --seed and --validation"),
        (("--model", '{"width": 4, "layers": [8, 4, 2]}'), "of width 2, which is neumf's less 2"),
        (("--init-from", "models/retail"), "is no run, which alone knows its held-out rows"),
        (("--arch", "sasrec"), "vision, text and neumf only"),
    ],
)
def test_what_neumf_cannot_start_from_is_refused(
    factorised: tuple[Path, FitResult], tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    model = () if "sasrec" in flags else NEUMF
    with pytest.raises(ConfigError, match=said):
        recommender(tmp_path, "neumf", "--init-from", str(factorised[0]), *model, *flags)
