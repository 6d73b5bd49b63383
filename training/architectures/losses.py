"""Losses of recommenders: the softmax over items, and the logistic loss over all pairs."""

import torch
import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor


def basket_loss(scores: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy with the basket as an even target: scores float [n, items], target int64 [n, most], 0 padded.

    Each basket weighs the same, however large.
    """
    present = target != 0
    picked = F.log_softmax(scores.float(), 1).gather(1, (target - 1).clamp(min=0))
    return -(picked * present).sum(1).div(present.sum(1).clamp(min=1)).mean()


def dense_logistic_loss(scores: Tensor, liked: Tensor, negatives: float) -> Tensor:
    """The exact value, over all items, of the loss that `negatives` drawn items a pair estimate (a sum).

    scores: float [n, items], liked: int64 [n, most] item indexes, 0 padded. With n_u liked items of I, each of the
    other I - n_u would be drawn negatives · n_u / (I - n_u) times a pass. One matrix product over the catalogue
    costs less than drawing them, and has no noise of the draws (compare Hu, Koren & Volinsky 2008).
    """
    likes = liked_mask(liked, scores.shape[1])
    count = likes.sum(1, keepdim=True)
    # A user who likes everything has nothing to draw from.
    weight = negatives * count / (likes.shape[1] - count).clamp(min=1)
    signed = torch.where(likes, -scores, scores)
    return (F.softplus(signed) * torch.where(likes, 1.0, weight)).sum()


def liked_mask(liked: Tensor, items: int) -> Tensor:
    """int64 [n, most] item indexes, 0 padded → bool [n, items]."""
    mask = torch.zeros(len(liked), items + 1, dtype=torch.bool, device=liked.device)
    return mask.scatter(1, liked, True)[:, 1:]
