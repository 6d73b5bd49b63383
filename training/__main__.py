"""`baton train TASK …`: one command from data to a published bundle."""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import get_args

from inference.errors import BatonError
from training.errors import TrainingError


def main(argv: Sequence[str]) -> int:
    """`argv` begins with the verb; returns the process's exit status."""
    # PyTorch takes seconds to import, which the verbs of serving should not pay.
    from training.architectures.registry import task_names

    rest = list(argv)[1:] if argv and argv[0] == "train" else list(argv)
    if not rest or rest[0] not in task_names():
        print(usage())
        return 0 if rest[:1] in (["-h"], ["--help"]) else 2
    if any(flag in ("-h", "--help") for flag in rest[1:]):
        print(help_of(rest[0]))
        return 0
    return _train(rest[0], rest[1:])


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
    from training.config import load_config
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
    try:
        config = load_config(task, flags)
        if config.find_rate:
            print(describe(find_rate(config)))
            return 0
        if not is_first():
            run_worker_rank(config)
            return 0
        published = train(config)
    except (TrainingError, BatonError) as error:
        print(f"baton train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("baton train: stopped; the same command resumes from here", file=sys.stderr)
        return 130
    print(f"published {published}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
