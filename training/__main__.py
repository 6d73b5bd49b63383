"""`baton train TASK …`: one command from data to a published bundle."""

import json
import logging
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, get_args

from inference.errors import BatonError
from training.errors import TrainingError, did_you_mean

if TYPE_CHECKING:
    from training.config import TrainConfig

# PyTorch takes seconds to import: every function below imports what it needs, and `_fit` alone needs PyTorch. So the
# help and the messages on a mistake come at once.


def main(argv: Sequence[str]) -> int:
    """`argv` begins with the verb; returns the process's exit status."""
    from training.architectures.registry import task_names

    rest = list(argv)[1:] if argv and argv[0] == "train" else list(argv)
    if not rest or rest[0] in ("-h", "--help"):
        print(usage())
        return 0 if rest else 2
    if rest[0] not in task_names():
        like = did_you_mean(rest[0], task_names())
        _tell(f"TASK: got {rest[0]!r}, expected one of {', '.join(task_names())}{like}")
        return 2
    if any(flag in ("-h", "--help") for flag in rest[1:]):
        print(help_of(rest[0]))
        return 0
    return _train(rest[0], rest[1:])


def _tell(message: str) -> None:
    print(f"baton train: {message}", file=sys.stderr)


def usage() -> str:
    """Every task, its architectures with cost and score, and its named sets."""
    from training.architectures.registry import task_names

    lines = [
        "usage: baton train TASK [--data NAME|PATH] [--arch NAME] [--name BUNDLE] [--models DIR] [--setting VALUE …]",
        "",
        "`baton train TASK --help` lists every setting; --config FILE reads them from TOML.",
    ]
    return "\n".join([*lines, *(line for task in task_names() for line in ("", *_choices(task)))])


def help_of(task: str) -> str:
    """The task's architectures and sets, and every setting that it has."""
    usage = f"usage: baton train {task} [--setting VALUE …]"
    return "\n".join(
        [
            usage,
            "",
            *_choices(task),
            "",
            "settings, and in brackets what they are unless told:",
            *_settings(task),
        ]
    )


def _choices(task: str) -> list[str]:
    from training.architectures.registry import architectures_for, embedded_pair
    from training.data.public_sets import PUBLIC_SETS
    from training.results import read_results, summary

    results = read_results()
    data, arch = embedded_pair(task)
    alone = f" (`baton train {task}` alone trains {arch} on {data})" if data else ""
    lines = [f"{task}: architectures{alone}"]
    for one in architectures_for(task).values():
        lines.append(f"  {one.name:16} {one.summary}")
        lines.append(f"  {'':16} {summary(results, one.name) or 'not measured yet'}")
        lines.append(f"  {'':16} --model options: {json.dumps(one.options())}")
    sets = [public for public in PUBLIC_SETS.values() if public.task == task]
    return [*lines, f"{task}: data sets", *(f"  {one.name:16} {one.summary}" for one in sets)]


def _settings(task: str) -> Iterator[str]:
    """Two lines for each setting that the task has: the flag, and the description."""
    from training.config import TrainConfig, default_of, help_text, only_of
    from training.tasks.registry import borrowed_settings

    borrowed = borrowed_settings(task)
    for name, field in TrainConfig.model_fields.items():
        only = only_of(name)
        if name == "task" or (only is not None and task not in only.tasks and name not in borrowed):
            continue
        flag = f"--{name.replace('_', '-')}"
        if field.annotation is bool:
            shown = f"--no-{name.replace('_', '-')} (it does)" if field.default else flag
        else:
            allowed = [str(value) for value in get_args(field.annotation) if isinstance(value, str)]
            default = "" if field.is_required() else default_of(name)
            shown = f"{flag} {'|'.join(allowed) or 'VALUE'}"
            if default not in ("", None, [], {}):
                shown += f" ({default})"
        yield f"  {shown}"
        yield f"      {help_text(name)}"


def _train(task: str, flags: Sequence[str]) -> int:
    """Train, and turn every mistake into its message."""
    try:
        told = _checked_and_fitted(task, flags)
    except KeyboardInterrupt:
        _tell("stopped; the same command resumes from here")
        return 130
    except (TrainingError, BatonError, OSError, ModuleNotFoundError) as error:
        if "--debug" in flags:
            traceback.print_exc()
        _tell(_message(error))
        return 1
    if told:
        print(told)
    return 0


def _message(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error}: it comes with the training extra, pip install 'baton[training]'"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _checked_and_fitted(task: str, flags: Sequence[str]) -> str:
    """The last line of a command that succeeds: the bundle's path, or the rate that was found."""
    from training.checks import check_paths
    from training.config import load_config
    from training.data.check import check_data
    from training.run import is_worker_rank, locked, open_run, resumable

    config = load_config(task, flags)
    if is_worker_rank():
        return _fit(config)
    check_paths(config)
    if config.find_rate:
        check_data(config)
        return _fit(config)
    with locked(open_run(config)) as files:
        check_data(config)
        with resumable(files):
            return _fit(config)


def _fit(config: "TrainConfig") -> str:
    """Import PyTorch and train; what there is to tell, nothing in a process that is not the first."""
    from training.fit.find_rate import describe, find_rate
    from training.fit.processes import is_first
    from training.pipeline import run_worker_rank, train

    logging.basicConfig(level=logging.INFO if is_first() else logging.ERROR, format="%(message)s")
    for noisy in (
        "lightning",
        "lightning.pytorch",
        "lightning.fabric",
        "onnxscript",
        "onnx_ir",
        "torch.onnx",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if config.find_rate:
        return describe(find_rate(config))
    if is_first():
        return f"published {train(config)}"
    run_worker_rank(config)
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
