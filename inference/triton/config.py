"""Triton's `config.pbtxt` beside a model's version folders: the part that has a meaning here, and nothing quietly.

A field is honoured, or harmless and named in the log, or refused by name, since ignoring it would change answers. A
field that Triton does not know is refused with its line. Settings of our own stand under `parameters`, where Triton
lets anybody put anything, so that the folder stays one that Triton serves.

The tensors under it, as clients and the graph have them, are `inference.triton.tensors`'s.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from inference.options import Device
from inference.triton.fields import CONFIG_FILE
from inference.values import DataType

log = logging.getLogger("baton.config")


class VersionPolicy(NamedTuple):
    """Which versions are served: so many of the newest good ones, or these alone; neither: all."""

    latest: int | None = None
    specific: tuple[int, ...] | None = None

    def versions(self, available: Sequence[int]) -> list[int]:
        """Those that may be served, ascending; of them the newest `latest` that are good."""
        return sorted(set(available) if self.specific is None else set(available) & set(self.specific))


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One input or output; `dims` and `reshape` leave out the batch where there is a max_batch_size."""

    field: str
    name: str
    datatype: DataType | None
    dims: tuple[int, ...]
    reshape: tuple[int, ...] | None = None
    format: str = ""
    label_filename: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """Instances of one kind; a `count` of 0 says nothing of how many."""

    kind: str
    count: int

    def runs_on(self, device: Device) -> bool:
        """Whether they are meant for this device."""
        return self.kind != ("KIND_GPU" if device == "cpu" else "KIND_CPU")


class WarmupInput(NamedTuple):
    """One tensor of a sample, without the batch; `file` is read, else the data are `random` or zeros."""

    datatype: DataType
    dims: tuple[int, ...]
    random: bool
    file: Path | None


class Warmup(NamedTuple):
    """A sample request."""

    name: str
    rows: int
    inputs: Mapping[str, WarmupInput]


@dataclass(frozen=True, slots=True)
class TritonConfig:
    """The fields of a `config.pbtxt` that have a meaning here. None: it says nothing of it."""

    file: Path
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    max_batch_size: int | None
    """0: the first axis belongs to the request; else the rows of a batch at most."""
    trusted: bool
    """Whether the operator vouches for rows of different requests in one batch, whatever a proof says."""
    version_policy: VersionPolicy | None
    graph_file: str | None
    instance_groups: tuple[InstanceGroup, ...]
    threads: int | None
    """Of one run."""
    preferred_batch_size: int | None
    """Rows with which a batch does not wait for more."""
    max_queue_size: int | None
    """Requests that may wait; here rows, of which most have one."""
    default_timeout_us: int | None
    """Microseconds, the deadline of a request that names none and the latest of one that does."""
    optimization: Literal["all", "extended", "basic", "disabled"] | None
    warmups: tuple[Warmup, ...]
    parameters: Mapping[str, str]
    ignored: tuple[str, ...]
    """Fields that are set and harmless, and parameters that nobody here knows."""

    def instances(self, device: Device) -> int | None:
        """Runs at once on this device; None where no group that is meant for it says how many."""
        return sum(group.count for group in self.instance_groups if group.runs_on(device)) or None

    def versions(self, available: Sequence[int]) -> list[int]:
        """Those of the versions that are to be served if all are good, ascending; without a policy the newest."""
        policy = self.version_policy or VersionPolicy(latest=1)
        return policy.versions(available)[-policy.latest if policy.latest else None :]

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """The labels of a row's elements, by output."""
        return {entry.name: entry.labels for entry in self.outputs if entry.labels}

    def log_ignored(self, device: Device | None = None) -> None:
        """One line with the fields that are set and have no effect here."""
        names = [*self.ignored]
        if device is not None and any(not group.runs_on(device) for group in self.instance_groups):
            names.append(f"instance_group for another device than {device}")
        if names:
            model = self.file.parent.name
            log.info("%s: %s: without effect here: %s", model, CONFIG_FILE, ", ".join(names))
