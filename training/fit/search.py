"""`--search N`: some settings are tried on validation, and the best are used.

The first trial has the settings of the run. Each later one draws every setting of the architecture's space
([search] in its TOML file) at random, which beats a grid of as many trials (Bergstra & Bengio 2012,
jmlr.org/papers/v13/bergstra12a). Flags are not varied: a setting that was given stays.

A trial is a fit in a folder of the run, so that a search that was stopped resumes in the middle of one. The best
trial's weights become the run's own. Rows of test play no part.
"""

import json
import logging
import random
import shutil
from collections.abc import Mapping
from typing import Any, NamedTuple

from training.architectures.defaults import defaults_of
from training.config import TrainConfig
from training.errors import ConfigError, RunError
from training.fit.budget import settled
from training.fit.processes import is_first
from training.fit.train import FitResult, fit
from training.run import RunFiles, atomic_write
from training.tasks.base import TaskData
from training.tasks.registry import find_task

log = logging.getLogger(__name__)

Drawn = dict[str, Any]
"""Settings of a trial by name, those of the architecture under `model`."""

TRIES = 10
"""Draws for each trial, where a small space gives the same ones again."""


class Trial(NamedTuple):
    """The settings that differ from the run's own, and the fit."""

    drawn: Drawn
    fitted: FitResult


def chosen_settings(config: TrainConfig, files: RunFiles, data: TaskData[Any]) -> TrainConfig:
    """The configuration with the best settings found; as it is without `--search`."""
    if not config.search:
        return config
    trials = _trials(config, files, data)
    highest = find_task(config.task).monitor_for(config).mode == "max"
    best = (max if highest else min)(range(len(trials)), key=lambda number: trials[number].fitted.score)
    if is_first():
        log.info("search:\n%s", table(trials, best))
        scores = [each.fitted.score for each in trials]
        _record(files, best, scores)
        if not files.fit.exists():
            _adopt(files.trial(best), files)
    return settled(with_drawn(config, trials[best].drawn), len(data.train))


def _trials(config: TrainConfig, files: RunFiles, data: TaskData[Any]) -> list[Trial]:
    """Those that are within the budget; the first always is."""
    trials: list[Trial] = []
    for number, drawn in enumerate(_planned(config, files)):
        spent = sum(each.fitted.seconds for each in trials) / 60
        if trials and config.search_minutes and spent >= config.search_minutes:
            log.info("search: %.1f minutes are spent, %d trials of %d", spent, number, config.search)
            break
        own = files.trial(number)
        own.root.mkdir(parents=True, exist_ok=True)
        tried = settled(with_drawn(config, drawn), len(data.train))
        trials.append(Trial(drawn, fit(tried, own, data)))
        log.info("search: trial %d of %d: %.4f", number + 1, config.search, trials[-1].fitted.score)
    return trials


def _planned(config: TrainConfig, files: RunFiles) -> list[Drawn]:
    """The trials' settings, recorded before the first one: a search resumes with the same ones, or not at all."""
    planned = draws(config)
    if files.search.exists():
        begun = [trial["drawn"] for trial in json.loads(files.search.read_text())["trials"]]
        if begun != planned:
            raise RunError(f"{files.search}: the search was begun with other flags; give another --run")
    elif is_first():
        record = {"best": None, "trials": [{"drawn": drawn, "score": None} for drawn in planned]}
        atomic_write(files.search, json.dumps(record, indent=1))
    return planned


def draws(config: TrainConfig) -> list[Drawn]:
    """As many different ones as are asked for, or as there are; the same configuration gives the same."""
    found = defaults_of(config.arch)
    space = {name: values for name, values in found.space.items() if name not in config.given}
    options = {name: values for name, values in found.options.items() if f"model.{name}" not in config.given}
    if not space and not options:
        raise ConfigError(f"search: {config.arch} has no setting to vary that was not given")
    generator = random.Random(config.seed)
    drawn: list[Drawn] = [{}]
    for _ in range(config.search * TRIES):
        if len(drawn) == config.search:
            break
        one: Drawn = {name: generator.choice(values) for name, values in space.items()}
        one["model"] = {name: generator.choice(values) for name, values in options.items()}
        if one not in drawn:
            drawn.append(one)
    return drawn


def with_drawn(config: TrainConfig, drawn: Mapping[str, Any]) -> TrainConfig:
    """The configuration with the drawn settings over its own."""
    model = {**config.model, **drawn.get("model", {})}
    return config.model_copy(update={**drawn, "model": model})


def _record(files: RunFiles, best: int, scores: list[float]) -> None:
    """Add the scores to the plan; a trial that the budget left out has none."""
    record = json.loads(files.search.read_text())
    for trial, score in zip(record["trials"], scores, strict=False):
        trial["score"] = score
    atomic_write(files.search, json.dumps({**record, "best": best}, indent=1))


def _adopt(trial: RunFiles, files: RunFiles) -> None:
    """Make a finished trial the run's own fit; `fit.json` last, since it says that the fit is done."""
    shutil.copytree(trial.root, files.root, dirs_exist_ok=True, ignore=shutil.ignore_patterns(trial.fit.name))
    shutil.copy(trial.fit, files.fit)


def table(trials: list[Trial], best: int) -> str:
    """A line for each trial, the best marked: score on validation, seconds, and the settings that it drew."""
    lines = [f"  {'trial':>5}  {trials[0].fitted.metric:>10}  seconds  settings"]
    for number, trial in enumerate(trials):
        drawn = {**trial.drawn, **trial.drawn.get("model", {})}
        told = ", ".join(f"{name} {value}" for name, value in drawn.items() if name != "model")
        mark = " *" if number == best else ""
        fitted = trial.fitted
        lines.append(
            f"  {number + 1:>5}  {fitted.score:>10.4f}  {fitted.seconds:>7.0f}  {told or 'the defaults'}{mark}"
        )
    return "\n".join(lines)
