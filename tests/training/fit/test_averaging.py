"""The average of the weights."""

import torch
from torch import nn

from training.fit.averaging import MovingAverage


def test_the_average_forgets_the_first_weights_soon_and_counts_without_a_mean() -> None:
    model = nn.BatchNorm1d(3)
    average = MovingAverage(model, decay=0.3)
    expected = torch.zeros(3)
    for n, kept in enumerate((0, 2 / 11, 3 / 12, 0.3, 0.3)):
        with torch.no_grad():
            model.weight.fill_(n + 1.0)
        model(torch.randn(4, 3))
        average.update(model)
        expected = kept * expected + (1 - kept) * model.weight.detach()
        if n == 2:  # whoever takes over goes on
            state, average = average.state_dict(), MovingAverage(nn.BatchNorm1d(3), decay=0.3)
            average.load_state_dict(state)
    torch.testing.assert_close(average.model.get_parameter("weight").detach(), expected)
    assert average.model.get_buffer("num_batches_tracked") == 5


def test_an_average_is_a_copy_that_the_fit_does_not_move() -> None:
    model = nn.Linear(2, 2)
    average = MovingAverage(model, decay=0.9)
    average.update(model)
    before = average.model.get_parameter("weight").detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    assert torch.equal(average.model.get_parameter("weight"), before)
