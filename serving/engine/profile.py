"""The measured curve of one graph on one machine, its JSON, and the folder that keeps such profiles.

`serving.engine.measuring` makes a profile, and `serving.engine.planning` makes a plan from it.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from inference.proving.independence import BatchProof

# A hop to a worker thread and back costs about this much with the GIL handed over twice.
HOP_S = 150e-6
# Throughput within this factor of the best counts as equal, and the smaller batch (less latency) wins.
AS_GOOD = 0.95

# Counted up whenever the same machine would be measured or chosen for otherwise, so that no kept profile outlives it.
RULES = 6


class Point(BaseModel):
    """One measured combination: `seconds` from the start of `runs` runs side by side to the end of them all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: int
    runs: int
    rows: int
    seconds: float

    @property
    def rows_per_s(self) -> float:
        """Throughput with every slot busy."""
        return self.rows * self.runs / self.seconds

    @property
    def served_rows_per_s(self) -> float:
        """Throughput with the hops to a thread, which a bigger batch saves: for `text` a tenth of a run of one row."""
        return self.rows * self.runs / (self.seconds + HOP_S)


class Overrides(NamedTuple):
    """How runs are made whatever measures better; None: measured. 0 `runs` at once: on the event loop."""

    threads: int | None = None
    runs: int | None = None


AS_MEASURED = Overrides()


class Profile(BaseModel):
    """The measured curve of one graph on one machine, and the points that were chosen on it.

    `chosen` is how batches run while others do; `alone`, where it is another, how one that finds the model idle.
    `batch_sizes` are the only ones that are run, each in a session of its own, where a change of size costs; else none.
    `measured` false: `chosen` is assumed, until the rest is measured under way. `batching`: the proof of rows
    that share a run; None where the bundle's own proof says it. `note`: why it is not measured, if it cannot be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: tuple[Point, ...]
    chosen: Point
    alone: Point | None
    inline: bool
    batch_sizes: tuple[int, ...] = ()
    measured: bool = True
    batching: BatchProof | None = None
    note: str = ""


class ProfileCache:
    """Profiles on disk by what they depend on, so that a restart need not measure again."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None: nothing is kept."""
        self._folder = folder

    def get(self, key: str) -> Profile | None:
        """The profile kept under `key`; None if there is none that can be read."""
        if self._folder is None:
            return None
        try:
            return Profile.model_validate_json((self._folder / f"{key}.json").read_bytes())
        except (OSError, ValidationError):
            return None

    def put(self, key: str, profile: Profile) -> None:
        """Keep a profile; a folder that cannot be written (a read-only root) costs only the next measuring."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = self._folder / f".{key}.json"
            scratch.write_text(profile.model_dump_json())
            scratch.replace(self._folder / f"{key}.json")
        except OSError:
            return


def cache_key(*parts: str | int | None) -> str:
    """A name for a profile: graph digest, provider, CPUs and ONNX Runtime's version, for instance."""
    return hashlib.sha256(json.dumps([RULES, *parts]).encode()).hexdigest()[:32]
