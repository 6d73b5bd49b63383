"""How a model is run, and the pace at which it really runs."""

from typing import Any, NamedTuple

_MOST_GROWTH = 4.0  # of a row's cost from its mean to one batch's
_COST_WEIGHT = 0.1  # of the newest batch in the moving mean of a row's cost: about the last ten batches


class Plan(NamedTuple):
    """How a model is run; `serving.engine.planning` derives it from measurements.

    `inline`: on the event loop itself, for graphs that cost less than the hop to a thread and back.
    `instances`: batches under way at once. `max_batch_size`: most rows in a batch. `preferred_batch_size` rows
    are one while few wait, since more of them cost as much by the row and would leave the other runs with little.
    `max_pending_rows`: rows admitted and not yet answered. `max_wait_s`: seconds that the last of those may wait at
    the pace of the latest batches (None: for ever), since a machine that others use too is not always as fast as it
    was measured. `least_pending_rows` are let in at any pace. `max_queue_rows`: an operator's own limit, which holds
    for a request that comes alone too.
    """

    inline: bool
    instances: int
    max_batch_size: int
    preferred_batch_size: int
    max_pending_rows: int
    max_wait_s: float | None = None
    least_pending_rows: int = 1
    max_queue_rows: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Its fields, and `concurrent_runs`, which clients of 0.1 read where it is `instances` now."""
        return {"inline": self.inline, "concurrent_runs": self.instances, **self._asdict()}

    @property
    def in_words(self) -> str:
        """As an operator reads it in the log."""
        where = "on the event loop" if self.inline else f"{self.instances} at once"
        rows = "one row" if self.max_batch_size == 1 else f"up to {self.max_batch_size} rows"
        within = "" if self.max_wait_s is None else f" within {self.max_wait_s:g} s"
        return (
            f"runs of {rows}, {where}; up to {self.max_pending_rows} rows are let in to be answered{within}"
        )


class Pace:
    """The seconds that a row costs in a run among others, as a moving mean over the latest batches."""

    __slots__ = ("row_s",)

    def __init__(self) -> None:
        self.row_s = 0.0
        """0 before the first batch."""

    def observe(self, row_s: float) -> None:
        """A batch has cost `row_s` seconds a row."""
        if not self.row_s:
            self.row_s = row_s
            return
        # A run during which the machine was suspended says nothing of the next.
        likely_s = min(row_s, _MOST_GROWTH * self.row_s)
        self.row_s += (likely_s - self.row_s) * _COST_WEIGHT

    def forget(self) -> None:
        """The runs that were observed are not those to come."""
        self.row_s = 0.0
