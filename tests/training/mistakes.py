"""Mistakes in a command of `baton train`: how each comes about, and words of the message that it deserves.

`python -m tests.training.mistakes FOLDER` prints every message, from a process in which PyTorch cannot be imported.
`python -m benchmarks.train_messages` measures their cost.
"""

import contextlib
import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from training.__main__ import main
from training.run import RunFiles

TRAINING_ALONE = ("torch", "lightning", "torchmetrics", "sklearn", "matplotlib", "onnx")
"""Packages whose import takes seconds, and which the `training` extra alone brings."""


class Mistake(NamedTuple):
    """One mistake: a word on it, the words after `baton train`, words of the message, and the files that it needs."""

    about: str
    flags: Sequence[str]
    said: str
    make: Callable[[Path], object] = lambda folder: None

    def folder(self, root: Path) -> Path:
        """A folder of its own, with its files in it."""
        path = root / self.about.replace(" ", "-")
        path.mkdir()
        self.make(path)
        return path


def _file(name: str, content: str | bytes = b"") -> Callable[[Path], object]:
    def write(folder: Path) -> object:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def _run_of_another_seed(folder: Path) -> object:
    files = RunFiles(folder / "runs" / "other")
    files.root.mkdir(parents=True)
    return files.config.write_text('{"seed": 1}')


TEXTS = "text,label\n" + "".join(f"note {n},{'ab'[n % 2]}\n" for n in range(12))

MISTAKES = (
    Mistake("another task", ("visoin",), "TASK: got 'visoin', expected one of vision, text, recommendation; "
            "did you mean vision?"),
    Mistake("another flag", ("vision", "--epoch", "3"), "--epoch: no such setting; did you mean --epochs?"),
    Mistake("a flag without its value", ("vision", "--epochs"), "--epochs: got nothing, expected a value"),
    Mistake("a word without a flag", ("text", "mail.csv"), "got 'mail.csv', expected --SETTING VALUE"),
    Mistake("no number", ("vision", "--epochs", "many"), "epochs: Input should be a valid integer"),
    Mistake("another word", ("vision", "--schedule", "cosin"), "(it is 'cosin'); did you mean cosine?"),
    Mistake("another architecture", ("vision", "--arch", "resnt"), "resnet9, vit; did you mean resnet?"),
    Mistake("another option", ("vision", "--model", '{"width": [8]}'), "cnn has no such option; it has widths, "),
    Mistake("no JSON", ("vision", "--model", "widths"), "(expected 2, got 1); lists and objects are JSON"),
    Mistake("no such file of settings", ("vision", "--config", "no.toml"), "config: cannot read no.toml"),
    Mistake("another key in a file", ("vision", "--config", "c.toml"), "learningrate: no such setting; "
            "did you mean learning_rate?", _file("c.toml", "learningrate = 1")),
    Mistake("a bad name", ("vision", "--name", "a/b"), "name: got 'a/b', expected at most 128 letters"),
    Mistake("data that no name can be made of", ("text", "--data", "отзывы.csv"), "name: none can be made of",
            _file("отзывы.csv", TEXTS)),
    Mistake("a name that is too long", ("text", "--data", "a" * 300), "File name too long"),
    Mistake("another set", ("text", "--data", "imbd"), "(tickets, imdb, sst2, ag_news); did you mean imdb?"),
    Mistake("a set of another task", ("vision", "--data", "imdb"), "data set 'imdb' is for text, not for vision"),
    Mistake("another file", ("text", "--data", "male.csv"), "did you mean mail.csv?", _file("mail.csv", TEXTS)),
    Mistake("an empty file", ("text", "--data", "none.csv"), "is the file empty?", _file("none.csv")),
    Mistake("another column", ("text", "--data", "mail.csv", "--text-column", "body"),
            "no column 'body'; it has 'text', 'label'", _file("mail.csv", TEXTS)),
    Mistake("another column of a log", ("recommendation", "--data", "log.csv"),
            "no column 'user', nor one of another usual name", _file("log.csv", "colour,item\n1,2\n")),
    Mistake("a folder of no classes", ("vision", "--data", "photos"), "photos: expected a folder for each of",
            _file("photos/a.png")),
    Mistake("models in the way of a file", ("vision", "--models", "m.csv"), "models: got 'm.csv', expected a "
            "folder to write to", _file("m.csv")),
    Mistake("a run below a file", ("vision", "--run", "m.csv/run"), "run: got 'm.csv/run', expected a folder",
            _file("m.csv")),
    Mistake("a run of another configuration", ("vision", "--run", "runs/other"), "seed: 1, now 0",
            _run_of_another_seed),
    Mistake("a version that is there", ("vision", "--version", "1"), "digits/1 exists, and a published version",
            _file("models/digits/1/manifest.json", "{}")),
    Mistake("no such teacher", ("vision", "--teacher", "models/far"), "teacher: models/far does not exist"),
    Mistake("no such start", ("vision", "--init-from", "far"), "init_from: far does not exist, expected a bundle"),
)  # fmt: skip


def told(folder: Path, flags: Sequence[str]) -> tuple[int, str]:
    """Exit status of `baton train` in that folder, in this process, and all that it prints."""
    stream = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stderr(stream), contextlib.redirect_stdout(stream):
        status = main(["train", *flags])
    return status, stream.getvalue()


def all_told(root: Path, commands: dict[str, Sequence[str]]) -> Iterator[tuple[str, tuple[int, str]]]:
    """The answer to each mistake, and to each other command by its name; every import of PyTorch fails."""
    sys.modules.update(dict.fromkeys(TRAINING_ALONE))  # type: ignore[arg-type]
    for mistake in MISTAKES:
        yield mistake.about, told(mistake.folder(root), mistake.flags)
    for name, flags in commands.items():
        yield name, told(root, flags)


if __name__ == "__main__":
    print(json.dumps(dict(all_told(Path(sys.argv[1]), json.loads(sys.argv[2])))))
