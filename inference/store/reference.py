"""The reference: how inputs and predictions were spread when the model was made, which drift is measured against.

`reference.json` holds a histogram of each summary feature (`Processor.summarise`), over
validation: rows from the same source as the training's that nothing was learned from. Those trained on would mislead:
a vocabulary knows their words, and a model is surer of them than of any others.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from inference.configs import Line, Record, Size
from inference.errors import ManifestInvalid, counted
from inference.values import Array

if TYPE_CHECKING:
    from inference.store.bundle import Bundle

REFERENCE_FILE = "reference.json"
SCHEMA_VERSION: Literal[1] = 1

QUANTILES = 10
"""Bins of a feature with many values at most; as many rows in each."""

ROWS_A_QUANTILE = 50
"""And at least so many, since the bounds are estimates themselves: fewer make false alarms of drift more frequent."""

MAX_VALUES = 64
"""A feature of so many values at most, such as a label, has a bin for each."""

ROWS_A_VALUE = 10
"""And only where that leaves so many rows a bin in the mean."""

A_HAIR = 1e-6
"""From a value that many rows share to the bound below it, relative: float32's own step at 1 is a sixteenth of it."""


class Histogram(Record):
    """Bin i counts the values above bound i - 1 and up to bound i; the last those above every bound."""

    bounds: tuple[float, ...] = Field(min_length=1, max_length=MAX_VALUES)
    counts: tuple[int, ...] = Field(max_length=MAX_VALUES + 1)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if any(low >= high for low, high in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError(f"bounds: got {self.bounds}, expected them to rise")
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError(f"counts: got {len(self.counts)}, expected {len(self.bounds) + 1}, a bound more")
        if min(self.counts) < 0 or not sum(self.counts):
            raise ValueError(f"counts: got {self.counts}, expected none below 0 and one above it")
        return self

    @classmethod
    def of(cls, values: Array) -> Self:
        """Of numbers [rows], with bounds that suit them.

        A lowest bin that one value fills has a bin below it, else nothing could be seen to fall: of a confidence that
        is 1 in nine rows of ten, every quantile is 1.
        """
        distinct = np.unique(values)
        if len(distinct) <= MAX_VALUES and len(distinct) * ROWS_A_VALUE <= len(values):
            bounds = distinct.tolist()
        else:
            bins = min(QUANTILES, max(2, len(values) // ROWS_A_QUANTILE))
            shares = np.arange(1, bins) / bins
            # Quantiles that were seen, not means of two: a value that many rows share is a bound, and its bin's end.
            bounds = np.unique(np.quantile(values, shares, method="inverted_cdf")).tolist()
        if 2 * (values == bounds[0]).sum() >= (values <= bounds[0]).sum() and len(bounds) < MAX_VALUES:
            bounds.insert(0, bounds[0] - A_HAIR * max(1.0, abs(bounds[0])))
        places = np.searchsorted(bounds, values)
        return cls(
            bounds=tuple(bounds), counts=tuple(np.bincount(places, minlength=len(bounds) + 1).tolist())
        )

    def place(self, value: float) -> int:
        """The bin of a value."""
        return bisect_left(self.bounds, value)


class Reference(Record):
    """The content of `reference.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    split: Literal["validation"]
    rows: Size
    features: dict[Line, Histogram] = Field(min_length=1, max_length=1024)

    @model_validator(mode="after")
    def _counts_every_row(self) -> Self:
        for name, histogram in self.features.items():
            if sum(histogram.counts) != self.rows:
                raise ValueError(
                    f"features.{name}: got {counted(sum(histogram.counts), 'row')}, expected the {self.rows} of all"
                )
        return self

    @classmethod
    def of(cls, summary: Mapping[str, Array]) -> Self:
        """From one value a validation row of each feature."""
        rows = {len(values) for values in summary.values()}
        if len(rows) != 1:
            raise ValueError(f"summary: got features of {sorted(rows)} rows, expected as many of each")
        features = {name: Histogram.of(values) for name, values in summary.items()}
        return cls(split="validation", rows=rows.pop(), features=features)

    @classmethod
    def read(cls, bundle: "Bundle", summary_features: tuple[str, ...]) -> Self | None:
        """The bundle's, None where it has none; every feature must be one of its processor's."""
        if REFERENCE_FILE not in bundle.manifest.files:
            return None
        found = bundle.read_document(cls, REFERENCE_FILE)
        if surplus := sorted(found.features.keys() - set(summary_features)):
            expected = f"some of {', '.join(summary_features)}" if summary_features else "none for this task"
            raise ManifestInvalid(
                bundle.path, f"{REFERENCE_FILE}: features: got {', '.join(surplus)}, expected {expected}"
            )
        return found
