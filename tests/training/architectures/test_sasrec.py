"""SASRec: causality and its losses."""

import pytest
import torch

from tests.training.architectures.recommenders import CATALOGUE, histories, made
from training.architectures import recommenders, sasrec


def test_no_state_of_sasrec_sees_what_comes_after_it() -> None:
    model = made("sasrec")
    assert isinstance(model, sasrec.SASRec)
    first, second = histories([6], 6), histories([6], 6)
    second[0, 4:] = 13 - second[0, 4:]
    torch.testing.assert_close(model.states(first)[:, :4], model.states(second)[:, :4])
    assert not torch.allclose(model.states(first)[:, 4], model.states(second)[:, 4])


def test_sampled_softmax_over_many_draws_is_the_full_softmax() -> None:
    torch.manual_seed(0)
    full = recommenders.sasrec(CATALOGUE._replace(items=2000), width=8)
    states, expected = 0.3 * torch.randn(50, 8), torch.randint(1, 2001, (50,))
    whole = full.softmax_loss(states, expected)
    full.sampled = 1500
    assert full.softmax_loss(states, expected).item() == pytest.approx(whole.item(), abs=0.02)
