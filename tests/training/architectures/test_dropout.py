"""Dropout by bytes does what `nn.Dropout` does, with a rate of a whole number of 256ths."""

import pytest
import torch

from training.architectures.dropout import ByteDropout
from training.data.examples import restart, seeded


def test_a_share_is_zero_and_the_rest_keeps_the_mean() -> None:
    torch.manual_seed(1)
    x = torch.ones(1000, 999, requires_grad=True)  # no multiple of eight
    y = ByteDropout(0.25)(x)
    values, counts = y.unique(return_counts=True)
    torch.testing.assert_close(values, torch.tensor([0.0, 4 / 3]))
    assert counts[0].item() / y.numel() == pytest.approx(0.25, abs=0.003)
    assert y.mean().item() == pytest.approx(1.0, abs=0.003)
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, y.detach())


def test_every_value_is_drawn_by_itself() -> None:
    torch.manual_seed(2)
    y = ByteDropout(0.5)(torch.ones(4096, 8))
    by_place = (y == 0).float().mean(0)
    torch.testing.assert_close(by_place, torch.full((8,), 0.5), atol=0.05, rtol=0)
    together = (y == 0).float().T.corrcoef() - torch.eye(8)
    assert together.abs().max() < 0.08


def test_the_mask_follows_from_the_seed_and_bf16_stays_bf16() -> None:
    x = torch.ones(64, 64, dtype=torch.bfloat16)
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(ByteDropout(0.1)(x))
    assert drawn[0].dtype == torch.bfloat16
    assert torch.equal(*drawn)


def test_nothing_changes_outside_of_training_or_without_a_rate() -> None:
    x = torch.randn(3, 5)
    assert ByteDropout(0.5).eval()(x) is x
    assert ByteDropout(0.0)(x) is x


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=f"dropout {rate} must be from 0 to below 1"):
        ByteDropout(rate)


def test_dropout_begins_where_seed_and_step_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `torch.manual_seed`, which is not called: on a CPU it costs more than many a step's bookkeeping."""
    torch.manual_seed(seeded(0, 3, 17).initial_seed())
    expected = torch.rand(4)
    monkeypatch.delattr(torch, "manual_seed")
    for _ in range(2):
        restart(0, 3, 17)
        assert torch.equal(torch.rand(4), expected)
    restart(0, 3, 18)
    assert not torch.equal(torch.rand(4), expected)
