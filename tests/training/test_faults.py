"""Bad data of one's own, each fault as a user meets it: what is said, and that docs/data.md says the same."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.__main__ import main
from training.config import load_config
from training.data.files import ENDINGS
from training.errors import TrainingError
from training.fit.train import load_data
from training.run import RunFiles

DOCUMENT = Path(__file__).parents[2] / "docs" / "data.md"

FLAGS = {
    "vision": ("--arch", "mlp", "--image-size", "[8,8,3]"),
    "text": ("--arch", "bag"),
    "recommendation": ("--arch", "mf"),
}


@dataclass(frozen=True)
class Fault:
    """What is wrong, how it is made, and what is said of it; `stops` without --strict too."""

    task: str
    about: str
    make: Callable[[], str]
    said: str
    stops: bool = False


def images(*classes: str, root: str = "photos", each: int = 6) -> Path:
    for name in classes:
        (Path(root) / name).mkdir(parents=True)
        for number in range(each):
            draws = np.random.default_rng([number, *name.encode()])
            pixels = draws.integers(0, 256, (9, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(root) / name / f"{number}.png")
    return Path(root)


def broken_image() -> str:
    root = images("cat", "dog")
    (root / "cat" / "9.png").write_bytes(b"no image")
    return str(root)


def copied_image() -> str:
    root = images("cat", "dog")
    (root / "dog" / "copy.png").write_bytes((root / "cat" / "0.png").read_bytes())
    return str(root)


def nearly_empty_class() -> str:
    images("cat", "dog")
    return str(images("emu", each=1))


def split_without_a_class() -> str:
    images("cat", "dog", root="photos/train")
    images("cat", root="photos/test", each=2)
    return "photos"


def empty_folder() -> str:
    Path("empty").mkdir()
    return "empty"


TEXTS = [f"note {n} on {word},{label}" for n in range(9) for word, label in (("tea", "pos"), ("mud", "neg"))]
EVENTS = [f"u{user},i{(3 * user + n) % 7},{n}" for user in range(8) for n in range(4)]


def table(name: str, *lines: str) -> Callable[[], str]:
    def write() -> str:
        Path(name).write_text("\n".join(lines) + "\n")
        return name

    return write


def mail(*lines: str) -> Callable[[], str]:
    return table("mail.csv", "text,label", *TEXTS, *lines)


def shop(*lines: str) -> Callable[[], str]:
    return table("shop.csv", "user,item,time", *EVENTS, *lines)


JSON = [f'{{"text": "note {n}", "label": "{"ab"[n % 2]}"}}' for n in range(12)]
NAMED = "(shop, online-retail, movielens-1m, movielens-1m-ncf, movielens-100k)"

FAULTS = [
    Fault(
        "vision",
        "a file that is no image",
        broken_image,
        "photos/cat/9.png: got 8 bytes of no known format, expected an image: "
        "image/png, image/jpeg, image/webp, image/gif, image/bmp",
    ),
    Fault(
        "vision",
        "an image twice, or in train and test",
        copied_image,
        "photos/dog/copy.png: the same image as photos/cat/0.png",
    ),
    Fault(
        "vision",
        "a class of one image",
        nearly_empty_class,
        "photos/emu: a class needs at least two readable images, it has 1 and is left out",
    ),
    Fault(
        "vision",
        "one class",
        lambda: str(images("cat")),
        "photos: expected a folder for each of at least two classes, found ['cat']",
        stops=True,
    ),
    Fault(
        "vision",
        "an empty folder",
        empty_folder,
        "empty: expected a folder for each of at least two classes, found []",
        stops=True,
    ),
    Fault(
        "vision",
        "a class without a test folder",
        split_without_a_class,
        "photos/test/dog is missing: the class is trained, and not scored",
    ),
    Fault("text", "no label", mail("lost,"), "mail.csv, row 20: label is empty"),
    Fault("text", "no text", mail(",pos"), "mail.csv, row 20: text is empty"),
    Fault(
        "text",
        "a text twice",
        mail("note 0 on tea,neg"),
        "mail.csv, row 20: the same text as mail.csv, row 2, with the label 'neg' and not 'pos'",
    ),
    Fault(
        "text",
        "too many cells",
        mail("ink,pos,more"),
        "mail.csv, row 20: 1 more cells than the header has columns",
    ),
    Fault(
        "text",
        "a quote left open",
        mail('"ink,pos', "paper,pos", "glue,neg"),
        "mail.csv, row 20: 1 of 2 cells; one runs over 3 lines, is a quote left open?",
    ),
    Fault(
        "text",
        "a line that is no JSON",
        table("mail.jsonl", *JSON, "{ink}"),
        "mail.jsonl, row 13: no JSON: Expecting property name enclosed in double quotes at character 2",
    ),
    Fault(
        "text",
        "a text that is none",
        table("mail.jsonl", *JSON, '{"text": 3, "label": "a"}'),
        "mail.jsonl, row 13: text is 3, expected a text",
    ),
    Fault(
        "text",
        "no Parquet file",
        table("mail.parquet", "ink"),
        "mail.parquet: no Parquet file",
        stops=True,
    ),
    Fault(
        "text",
        "other columns",
        table("mail.csv", "ink,paper", *TEXTS),
        "mail.csv: no column 'text' or 'label' or of another usual name; it has 'ink', 'paper'. "
        "Name yours with --text-column and --label-column",
        stops=True,
    ),
    Fault(
        "text",
        "one class",
        table("mail.csv", "text,label", "tea,pos", "ink,pos"),
        "mail.csv: every row has the label 'pos'; expected at least two classes",
        stops=True,
    ),
    Fault(
        "text",
        "a class of two rows",
        mail("ink,pso", "glue,pso"),
        "mail.csv, row 20: the label 'pso' has 2 rows, expected at least 3; is it a typing error?",
    ),
    Fault(
        "text",
        "an empty folder",
        empty_folder,
        "empty: expected a table of texts called train, and test if there is one (.csv, .tsv, .jsonl, "
        ".ndjson, .parquet, or one of lines with .gz, .bz2, .xz after it)",
        stops=True,
    ),
    Fault("recommendation", "no user", shop(",i1,9"), "shop.csv, row 34: no user"),
    Fault("recommendation", "no item", shop("u1,,9"), "shop.csv, row 34: no item"),
    Fault(
        "recommendation",
        "a time that is none",
        shop("u1,i1,soon"),
        "shop.csv, row 34: time is 'soon', expected a number or an ISO date",
    ),
    Fault(
        "recommendation",
        "a user with one event",
        shop("u9,i1,9"),
        "shop.csv, row 34: user 'u9' has events at one time only; used in training alone",
    ),
    Fault(
        "recommendation",
        "an event twice",
        shop(EVENTS[0]),
        "shop.csv, row 34: user 'u0' has item 'i0' in row 2 already",
    ),
    Fault("recommendation", "too few cells", shop("u1,i1"), "shop.csv, row 34: 2 fields, expected 3"),
    Fault(
        "recommendation",
        "other columns",
        table("shop.csv", "colour,item,time", *EVENTS),
        "shop.csv: no column 'user', nor one of another usual name; it has 'colour', 'item', 'time'. "
        "Name yours with --user-column",
        stops=True,
    ),
    Fault(
        "recommendation",
        "two columns of one meaning",
        table("shop.csv", "customer,client,item", *EVENTS),
        "shop.csv: the user may be 'customer' or 'client'; say which with --user-column",
        stops=True,
    ),
    Fault(
        "recommendation",
        "no names of columns",
        table("shop.csv", "7,8,9", "7,9,10"),
        "shop.csv: no column 'user' or 'item', nor one of another usual name; it has '7', '8', '9'. Name yours with "
        "--user-column and --item-column. Its first row looks like data: put the columns' names above it",
        stops=True,
    ),
    Fault(
        "recommendation",
        "days and months that may be either",
        table("shop.csv", "user,item,time", "u1,i1,1/2/2024", "u1,i2,3/2/2024"),
        "shop.csv: time is '1/2/2024', and no row tells whether its day or its month comes first; write dates as "
        "2024-12-31",
        stops=True,
    ),
    Fault(
        "recommendation",
        "one user",
        table("shop.csv", "user,item,time", *EVENTS[:4]),
        "shop.csv: found 1 users and 4 items, expected at least two of each",
        stops=True,
    ),
    Fault(
        "recommendation",
        "users of one event each",
        table("shop.csv", "user,item,time", *EVENTS[::4]),
        "shop: 0 users have the 3 or more events (baskets) that a validation needs, expected 2",
        stops=True,
    ),
    Fault(
        "recommendation",
        "no Parquet file",
        table("shop.parquet", "ink"),
        "shop.parquet: no Parquet file",
        stops=True,
    ),
    Fault(
        "recommendation",
        "an empty folder",
        empty_folder,
        f"--data 'empty' is neither a file ({ENDINGS}) nor a named set {NAMED}",
        stops=True,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.task}: {fault.about}" for fault in FAULTS])
def test_a_fault_is_named_by_file_and_row_and_stops_a_strict_run(
    fault: Fault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = fault.make()
    flags = ("--data", data, *FLAGS[fault.task], "--batch-size", "4")
    config = load_config(fault.task, (*flags, "--run", "run"))
    if fault.stops:
        with pytest.raises(TrainingError) as stopped:
            load_data(config, RunFiles(config.run_directory))
        assert str(stopped.value).startswith(fault.said)
        assert not Path("run").exists()
    else:
        load_data(config, RunFiles(config.run_directory))
        assert fault.said in Path("run/skipped.txt").read_text().splitlines()
    assert main(["train", fault.task, *flags, "--strict", "--run", "strict"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("baton train: ")
    # Where every user has one event, a strict run stops at the first of them already.
    assert fault.said in told or "row 2: user 'u0' has events at one time only" in told
    assert not Path("strict").exists()


def faults_table() -> str:
    """The faults as docs/data.md prints them."""
    lines = ["| task | fault | what is said | without `--strict` |", "|---|---|---|---|"]
    for fault in FAULTS:
        then = "stops" if fault.stops else "goes on without it"
        if "used in training alone" in fault.said:
            then = "goes on"
        said = fault.said.replace("|", "\\|")
        lines.append(f"| {fault.task} | {fault.about} | `{said}` | {then} |")
    return "\n".join(lines)


def test_the_table_of_faults_in_the_documents_is_what_is_said() -> None:
    assert faults_table() in DOCUMENT.read_text(), f"put this table into docs/data.md:\n{faults_table()}"
