"""Rounds with the figures that a test needs."""

from serving.bench.figures import Round, summarize
from serving.bench.values import Record


def round_of(rate: float, good: int = 100) -> Round:
    return summarize(Record(began=0.0, ended=1.0)).model_copy(
        update={"rate": float(rate), "requests": 100, "good": good}
    )
