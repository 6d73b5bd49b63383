"""The loss of a classifier that learns from a teacher's answers."""

import torch.nn.functional as F  # noqa: N812 (PyTorch's own name for it)
from torch import Tensor


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of softened answers less the teacher's entropy: both float [n, classes] → a scalar.

    Times T², so that its gradient stays as large as that of hard labels at any T.
    """
    expected = F.log_softmax(teacher / temperature, 1)
    student = F.log_softmax(logits / temperature, 1)
    return temperature**2 * F.kl_div(student, expected, reduction="batchmean", log_target=True)
