"""Losses: a teacher's answers for classifiers; the softmax over items and the logistic loss for recommenders."""

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor


def distillation_loss(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of softened answers less the teacher's entropy: both float [n, classes] → a scalar.

    Times T², so that its gradient stays as large as that of hard labels whatever T is.
    """
    expected = F.log_softmax(taught / temperature, 1)
    seen = F.log_softmax(logits / temperature, 1)
    return temperature**2 * F.kl_div(seen, expected, reduction="batchmean", log_target=True)


def basket_loss(scores: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with the basket as an even target: scores float [n, items], target int64 [n, most], 0 padded.

    Each basket weighs the same, however large.
    """
    expected = target != 0
    picked = F.log_softmax(scores.float(), 1).gather(1, (target - 1).clamp(min=0))
    return -(picked * expected).sum(1).div(expected.sum(1).clamp(min=1)).mean()


def dense_logistic_loss(scores: Tensor, liked: Tensor, negatives: float) -> Tensor:
    """What sampling `negatives` unseen items a pair estimates, computed exactly over all of them (a sum).

    scores: float [n, items], liked: int64 [n, most] item indexes, 0 padded. With n_u liked items of I, each of the
    other I - n_u would be drawn negatives · n_u / (I - n_u) times a pass. One matrix product over the catalogue
    costs less than drawing them, and has no noise of the draws (compare Hu, Koren & Volinsky 2008).
    """
    seen = liked_mask(liked, scores.shape[1])
    count = seen.sum(1, keepdim=True)
    weight = negatives * count / (seen.shape[1] - count).clamp(min=1)
    signed = torch.where(seen, -scores, scores)
    return (F.softplus(signed) * torch.where(seen, 1.0, weight)).sum()


def liked_mask(liked: Tensor, items: int) -> Tensor:
    """int64 [n, most] item indexes, 0 padded → bool [n, items]."""
    mask = torch.zeros(len(liked), items + 1, dtype=torch.bool, device=liked.device)
    return mask.scatter(1, liked, True)[:, 1:]
