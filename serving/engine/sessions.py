"""The sessions of one version while it is loaded: each is opened once, so that the one that was measured serves."""

from dataclasses import replace
from pathlib import Path

from inference.options import Device, Precision
from inference.runtime.session import OrtSession, SessionOptions
from inference.store.bundle import Bundle
from inference.triton.config import TritonConfig


class Sessions:
    """By threads of a run and batch sizes. Sessions that neither serve nor will be measured are dropped."""

    def __init__(self, device: Device, engine_cache: Path | None, config: TritonConfig | None) -> None:
        self._device, self._engine_cache, self._config = device, engine_cache, config
        self._opened: dict[tuple[int, tuple[int, ...], int], OrtSession] = {}
        self._bundle: Bundle
        self._precision: Precision

    def options(self, threads: int, batch_sizes: tuple[int, ...] = ()) -> SessionOptions:
        """As the server is told, or as the model's `config.pbtxt` says."""
        options = SessionOptions(
            threads=threads, device=self._device, engine_cache=self._engine_cache, batch_sizes=batch_sizes
        )
        level = self._config and self._config.optimization
        return options._replace(optimization=level) if level else options

    def begin(self, bundle: Bundle, precision: Precision, threads: int) -> None:
        """Open sessions of this bundle; the one that it was opened with is the first, where it would be the same."""
        self._bundle, self._precision = replace(bundle, session=None), precision
        if bundle.session is not None and self._device == "cpu":
            self._opened[threads, (), 0] = bundle.session

    def get(self, threads: int, batch_sizes: tuple[int, ...], limit: int) -> OrtSession:
        """The session for these; `limit`: rows of its biggest batch, 0 where rows are no batch."""
        # A device runs batches at fixed sizes, filled up with rows: not where rows are no batch.
        key = threads, batch_sizes, 0 if self._device == "cpu" else limit
        if key not in self._opened:
            bundle = self._bundle
            options = self.options(threads, batch_sizes).for_manifest(bundle.manifest)
            options = options._replace(max_batch_size=limit)
            self._opened[key] = bundle.load(self._precision, options)
        return self._opened[key]

    def keep_only(self, *serving: OrtSession | None) -> None:
        """Drop the others: each holds the weights once more."""
        for unused in [key for key, each in self._opened.items() if each not in serving]:
            del self._opened[unused]
