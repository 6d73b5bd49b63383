"""The origin of a model: command, code revision, libraries; never a path, a host or a user of this machine."""

import json
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

from inference.manifest import Provenance
from training.config import TrainConfig, make_config, shipped_recipe
from training.fit.train import FitResult

LIBRARIES = ("torch", "lightning", "torchmetrics", "numpy", "onnx", "onnxscript", "onnxruntime")


def provenance(config: TrainConfig, fitted: FitResult) -> Provenance:
    """Everything that training the model again needs."""
    return Provenance(
        command=command(config),
        seed=config.seed,
        code_revision=code_revision(),
        config=flat_config(config),
        libraries={name: version(name) for name in LIBRARIES},
        parameters=fitted.parameters,
        epochs=fitted.epochs,
        train_seconds=fitted.seconds,
    )


def command(config: TrainConfig) -> str:
    """The command line that trains this: the data's name, the seed, and the settings that differ from the recipe."""
    named = {name: getattr(config, name) for name in ("task", "data", "arch")}
    shipped = shipped_recipe(config.data, config.arch, transferred=bool(config.init_from))
    recipe = flat_config(make_config({**shipped, **named}))
    words = ["baton", "train", config.task, "--data", Path(config.data).name, "--arch", config.arch]
    words += ["--seed", str(config.seed)]
    for name, value in flat_config(config).items():
        if name == "seed" or value == recipe[name]:
            continue
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return shlex.join(words)


def code_revision() -> str:
    """The commit of this source tree, with `+changes` where files differ from it; `unknown` outside of git."""
    here = Path(__file__).parent
    try:
        revision = _git(here, "rev-parse", "HEAD")
        return f"{revision}+changes" if _git(here, "status", "--porcelain", "--", ".") else revision
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def flat_config(config: TrainConfig) -> dict[str, str | int | float | bool | None]:
    """Every setting as one scalar; nested ones as JSON, the data as a name."""
    settings = {**config.learned_from(), "data": Path(config.data).name}
    for source in ("init_from", "teacher"):
        settings[source] = "/".join(Path(settings[source]).parts[-2:])
    return {
        name: value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
        for name, value in settings.items()
    }


def _git(folder: Path, *arguments: str) -> str:
    # Fixed arguments, and whichever git the user has.
    run = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603, S607
    return run.stdout.strip()
