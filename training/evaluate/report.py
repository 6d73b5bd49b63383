"""What the evaluation of a candidate bundle found; the manifest and the card are written from it."""

from pydantic import BaseModel, ConfigDict

from inference.configs import Conformal, OutOfDistribution
from inference.manifest import Calibration, Evaluation


class Report(BaseModel):
    """What the evaluation of a candidate bundle found, in the manifest's own records.

    pictures: files in the run's `pictures` folder, by the caption that the card gives them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    evaluation: Evaluation
    calibration: Calibration | None = None
    conformal: Conformal | None = None
    out_of_distribution: OutOfDistribution | None = None
    pictures: dict[str, str] = {}
