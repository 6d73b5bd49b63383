"""The findings of a candidate bundle's evaluation; the manifest and the card are written from them."""

from pydantic import BaseModel, ConfigDict

from inference.configs import Conformal, OutOfDistribution
from inference.manifest import Calibration, Evaluation


class Report(BaseModel):
    """The findings of an evaluation, in the manifest's own records.

    pictures: captions of the plots in the run's folder, by file name. `report.json` of an unfinished run has this name,
    so it stays; a manifest has no such field, and a card has the files' names.
    row_scores: of each row of test, more is better; the mean is the metric that baselines are compared by.
    baselines: the same of every baseline, by its name and on the same rows in the same order.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluation: Evaluation
    calibration: Calibration | None = None
    conformal: Conformal | None = None
    out_of_distribution: OutOfDistribution | None = None
    pictures: dict[str, str] = {}
    row_scores: tuple[float, ...] = ()
    baselines: dict[str, tuple[float, ...]] = {}
