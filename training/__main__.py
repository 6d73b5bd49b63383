"""`baton train TASK …`: one command from data to a published bundle."""

import logging
import sys
from collections.abc import Sequence

from inference.errors import BatonError
from training.errors import TrainingError

TASKS = ("vision", "text", "recommendation")


def main(argv: Sequence[str]) -> int:
    """`argv` begins with the verb; returns the process's exit status."""
    rest = list(argv)[1:] if argv and argv[0] == "train" else list(argv)
    if not rest or rest[0] not in TASKS:
        print(usage())
        return 0 if rest[:1] in (["-h"], ["--help"]) else 2
    if any(flag in ("-h", "--help") for flag in rest[1:]):
        print(usage())
    return _train(rest[0], rest[1:])


def usage() -> str:
    """What can be trained, by which architectures at which cost and score, on which named sets."""
    from training.architectures.registry import architectures_for
    from training.config import EMBEDDED
    from training.data.sources import PUBLIC_SETS
    from training.results import read_results, summary

    results = read_results()
    lines = [
        "usage: baton train TASK [--data NAME|PATH] [--arch NAME] [--name BUNDLE] [--models DIR] [--setting VALUE …]",
        "",
        "`baton train TASK --help` lists every setting; --config FILE reads them from TOML.",
    ]
    for task in TASKS:
        found = architectures_for(task).values()
        sets = [public for public in PUBLIC_SETS.values() if public.task == task]
        if found:
            data, arch = EMBEDDED[task]
            lines += ["", f"{task}: architectures (`baton train {task}` alone trains {arch} on {data})"]
            for one in found:
                lines.append(f"  {one.name:14} {one.summary}")
                lines.append(f"  {'':14} {summary(results, one.name) or 'not measured yet'}")
            lines += [f"{task}: data sets", *(f"  {one.name:14} {one.summary}" for one in sets)]
    return "\n".join(lines)


def _train(task: str, flags: Sequence[str]) -> int:
    from training.config import load_config
    from training.find_rate import describe, find_rate
    from training.pipeline import assist, train
    from training.processes import is_first

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
            assist(config)
            return 0
        published = train(config)
    except (TrainingError, BatonError) as error:
        print(f"baton train: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("baton train: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    print(f"published {published}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
