"""The progress bar: a line for each epoch with loss, metrics and the time left for the whole run."""

import time

from tqdm import tqdm

from training.config import TrainConfig
from training.processes import is_first

EVERY_STEPS = 10
"""Between two looks at the clock."""


class ProgressBar:
    """Shown by the first process, if the configuration asks for it."""

    def __init__(self, config: TrainConfig, steps: int, done: int) -> None:
        """steps: of an epoch. done: by an earlier attempt."""
        self._shown = config.progress and is_first()
        self._epochs, self._steps = config.epochs, steps
        self._started, self._first, self._done = time.monotonic(), done, done
        self._bar: tqdm | None = None
        self._unseen = 0
        self._told: dict[str, str] = {}

    def begin(self, epoch: int, done: int) -> None:
        """A line for this epoch, of which so many batches are done."""
        self.close()
        if self._shown:
            label = f"epoch {epoch + 1}/{self._epochs}"
            self._bar = tqdm(desc=label, total=self._steps, initial=done, unit="step", dynamic_ncols=True)

    def advance(self) -> None:
        """One more step is done."""
        self._done += 1
        self._unseen += 1
        if self._unseen == EVERY_STEPS:
            self._show()

    def tell(self, values: dict[str, float]) -> None:
        """Show these from now on."""
        self._told |= {name.removeprefix("val/"): f"{value:.4g}" for name, value in values.items()}
        self._show()

    def close(self) -> None:
        """Leave the line as it is."""
        if self._bar is not None:
            self._show()
            self._bar.close()
            self._bar = None

    def _show(self) -> None:
        unseen, self._unseen = self._unseen, 0
        if self._bar is not None:
            self._bar.set_postfix({**self._told, "left": self._left()}, refresh=False)
            self._bar.update(unseen)

    def _left(self) -> str:
        """Minutes and seconds to the end of the run at the pace of this attempt, validation and all."""
        done = self._done - self._first
        if not done:
            return "?"
        pace = (time.monotonic() - self._started) / done
        minutes, seconds = divmod(int(pace * (self._steps * self._epochs - self._done)), 60)
        return f"{minutes}:{seconds:02d}"
