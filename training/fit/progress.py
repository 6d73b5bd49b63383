"""The progress of a fit: a bar in a terminal; elsewhere (a job's log) a line for an epoch, twenty of them at most."""

import logging
import shutil
import sys
import time
from math import ceil

from tqdm import tqdm

from training.config import TrainConfig
from training.fit.processes import is_first

log = logging.getLogger(__name__)

LOSS = "train/loss"
"""The name of a training step's loss among the shown values."""

EVERY_STEPS = 10
"""Between two refreshes of the bar, each of which reads the clock and writes to the terminal."""

MOST_LINES = 20
"""Of epochs: small data have a hundred, of a tenth of a second each."""


class Progress:
    """Epoch, loss, metrics and the time left for the whole run; by the first process, if the configuration asks."""

    def __init__(self, config: TrainConfig, watched: str, steps: int, done: int) -> None:
        """watched: the value that chooses the best epoch. steps: of an epoch. done: steps of an earlier attempt."""
        self._shown = config.progress and is_first()
        self._epochs, self._steps = config.epochs, steps
        self._started, self._first, self._done = time.monotonic(), done, done
        self._unseen = 0
        self._label, self._watched = "", watched
        self._stays = True
        self._bar: tqdm | None = None
        self._told: dict[str, str] = {}

    def begin(self, epoch: int, done: int) -> None:
        """Start an epoch, of which `done` batches are done."""
        self._label = f"epoch {epoch + 1}/{self._epochs}"
        self._stays = (epoch + 1) % ceil(self._epochs / MOST_LINES) == 0 or epoch + 1 == self._epochs
        if self._shown and sys.stderr.isatty():
            # tqdm finds no width of its own in a terminal that does not tell its size.
            columns = shutil.get_terminal_size().columns
            self._bar = tqdm(
                desc=self._label,
                total=self._steps,
                initial=done,
                unit="step",
                ncols=columns,
                leave=self._stays,
                mininterval=0.2,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n}/{total}, {rate_fmt}{postfix}",
            )

    def advance(self) -> None:
        """One more step is done."""
        self._done += 1
        self._unseen += 1
        if self._unseen == EVERY_STEPS:
            self._show()

    def tell(self, values: dict[str, float]) -> None:
        """Show these values from now on."""
        self._told |= {name: f"{value:.4g}" for name, value in values.items()}
        self._show()

    def end(self) -> None:
        """End the epoch; its line stays, or one of several epochs where there are many."""
        self._show()
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        elif self._shown and self._stays:
            told = ", ".join(f"{name} {value}" for name, value in self._told.items())
            log.info("%s: %s, %s left", self._label, told, self._left())

    def _show(self) -> None:
        unseen, self._unseen = self._unseen, 0
        if self._bar is not None:
            told = {name: self._told[name] for name in (LOSS, self._watched) if name in self._told}
            self._bar.set_postfix({**told, "left": self._left()}, refresh=False)
            self._bar.update(unseen)

    def _left(self) -> str:
        """Minutes and seconds to the end of the run at the pace of this attempt, validation and all."""
        done = self._done - self._first
        if not done:
            return "?"
        pace = (time.monotonic() - self._started) / done
        minutes, seconds = divmod(int(pace * (self._steps * self._epochs - self._done)), 60)
        return f"{minutes}:{seconds:02d}"
