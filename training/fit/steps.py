"""A training step: augment → loss → gradients → the optimiser, on any device, precision and number of processes."""

from lightning.fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from training.config import TrainConfig
from training.data.examples import Batch, restart, seeded
from training.fit.teacher import Teacher
from training.fit.zeros import Pruner
from training.tasks.base import Facts, Task
from training.tasks.classification import DISTILLED


class LossModule(nn.Module):
    """A batch in, the loss out: Fabric wraps it, so that precision and processes hold for the loss too."""

    def __init__(self, model: nn.Module, task: Task, config: TrainConfig, facts: Facts) -> None:
        super().__init__()
        self.model, self.task, self.config, self.facts = model, task, config, facts

    def forward(self, batch: Batch) -> Tensor:
        return self.task.loss(self.model, batch, self.config, self.facts)


class Steps:
    """The steps of one model: the batch to the device, the loss forwards, the gradients backwards, the weights on."""

    def __init__(
        self,
        fabric: Fabric,
        loss_module: LossModule,
        optimizer: Optimizer,
        teacher: Teacher | None = None,
        pruner: Pruner | None = None,
    ) -> None:
        if fabric.world_size > 1 and fabric.device.type == "cuda":
            # On CPUs PyTorch has none: there each process normalises by its own share of the batch.
            loss_module = nn.SyncBatchNorm.convert_sync_batchnorm(loss_module)  # type: ignore[no-untyped-call]
        self.fabric, self.teacher, self.pruner = fabric, teacher, pruner
        self.model, self.task = loss_module.model, loss_module.task
        self.config, self.facts = loss_module.config, loss_module.facts
        self._alone = loss_module
        self.loss_module, self.optimizer = fabric.setup(loss_module, optimizer)

    def take(self, step: int, batch: Batch) -> Tensor:
        """Step number `step`, from 0; the loss before it, detached."""
        fabric, config = self.fabric, self.config
        batch = fabric.to_device(batch)
        # Dropout draws from PyTorch's own state and augmentation from `draws`; both restart at every step, so that a
        # resumed run draws what the killed one would have drawn.
        key = (config.seed, step, fabric.global_rank)
        restart(0, *key, device=fabric.device)
        draws = seeded(1, *key, device=fabric.device)
        batch = self.task.augment(batch, config, self.facts, draws)
        # The teacher sees the augmented batch, as the student does (Beyer et al. 2022, arXiv:2106.05237).
        if self.teacher is not None:
            batch = {**batch, DISTILLED: self.teacher.logits(self.task.inputs(batch))}
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        fabric.backward(loss)
        if config.gradient_clip:
            fabric.clip_gradients(
                self.loss_module, self.optimizer, max_norm=config.gradient_clip, error_if_nonfinite=False
            )
        # On both sides of the step: momentum and weight decay would move a weight that is zero.
        if self.pruner is not None:
            self.pruner.before_step(self.model)
        self.optimizer.step()
        if self.pruner is not None:
            self.pruner.after_step(self.model, step + 1)
        return loss.detach()

    def _loss(self, batch: Batch) -> Tensor:
        """Fabric's wrapper brings the processes together; one alone has no need of its hooks (0.1 ms a step)."""
        if self.fabric.world_size > 1:
            return self.loss_module(batch)  # type: ignore[no-any-return]
        with self.fabric.autocast():
            return self._alone(batch)  # type: ignore[no-any-return]
