"""A version of a model as the engine holds it: its state for the index, and everything that its requests need."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from inference.manifest import Manifest
from inference.predictor import Predictor
from inference.store.located import Located
from serving.engine.batching import DynamicBatcher
from serving.engine.drift import Drift
from serving.engine.metrics import ModelMetrics
from serving.engine.profile import Profile

Key = tuple[str, int]
"""Name and version."""


class ModelState(StrEnum):
    """A version's state, in the words of the protocol's repository index."""

    LOADING = "LOADING"
    READY = "READY"
    DRAINING = "UNLOADING"
    REFUSED = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A version that the repository holds, served or not."""

    name: str
    version: int | str
    """A word where no number stands: the name of a folder that is no version, or nothing for a whole model."""
    state: ModelState
    reason: str = ""


def in_order(key: tuple[str, int | str]) -> tuple[str, bool, Any]:
    """Sorts by name, then by version, words after numbers."""
    name, version = key
    return name, isinstance(version, str), version


@dataclass(frozen=True, slots=True, weakref_slot=True)
class ServedModel:
    """A version that answers, with everything that its requests need."""

    name: str
    version: int
    manifest: Manifest
    predictor: Predictor
    batcher: DynamicBatcher
    metrics: ModelMetrics
    profile: Profile
    loaded_at: float
    """Unix time, seconds."""
    inline_bytes: int
    """Payloads up to this size are decoded on the event loop, since the hop to a thread costs more."""
    drift: Drift | None
    """Compares requests with the bundle's reference, where it has one."""
    rest: "Callable[[], Awaitable[Loaded | None]] | None" = None
    """Measures, while it serves, the points that took too long before; the result makes the model in its place."""


Loader = Callable[[Located], "Loaded"]
"""Opens, proves and measures one version; runs on a thread and raises `BatonError` to refuse it."""

Loaded = Callable[[], ServedModel]
"""Finishes a load on the event loop, where a batcher has to be made."""
