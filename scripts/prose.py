"""Measures the sentences of this repository: in documents, docstrings, comments and messages.

    python scripts/prose.py [paths …] [--over 35] [--words] [--word WORD]

Without paths every tracked file is read, but for the cards of published models, which are never rewritten.
A list item, a table cell and a heading end a sentence; inline code and an address count as one word; code
blocks are skipped, and so are pieces of less than three words. Exits 1 if a sentence has more words than
`--over`, or if the mean is above 25.
"""

import argparse
import ast
import io
import re
import subprocess
import sys
import textwrap
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
LONG = 25
"""Words that the mean may have; the share of longer sentences is shown."""
SHORTEST = 3
"""Words of the shortest piece that is counted: a cell with a number is no sentence."""
GENERATED = ("models/",)
"""Folders whose text is written by a program, and whose files are pinned by digests."""


@dataclass(frozen=True)
class Sentence:
    """One sentence, and the line on which it starts."""

    file: Path
    line: int
    text: str
    words: int


@dataclass(frozen=True)
class Given:
    """A word that was given up, and its successor."""

    word: str
    pattern: str
    say: str
    place: Literal["both", "names", "prose"] = "both"
    """`names` where the word is plain English in a sentence, `prose` where it is no part of names."""

    def count(self, text: str) -> int:
        """How often the word stands in a text."""
        return len(re.findall(rf"\b(?:{self.pattern})\b", text, flags=re.IGNORECASE))


WORDS = (
    Given("hot lane", "hot[ -]?lanes?", "fast path"),
    Given("short way", "short ways?", "fast path"),
    Given("picture", "pictures?|pictured", "image; of a chart: plot"),
    Given("wanted", "wanted", "expected"),
    Given("seen", "seen", "actual", "names"),
    Given("door", "doors?", "listener"),
    Given("hub", "hubs?", "coordinator"),
    Given("member", "members?", "worker group"),
    Given("seat", "seats?", "worker slot"),
    Given("place", "places?", "worker id", "names"),
    Given("bury", "bury|buried|buries", "accumulate ended"),
    Given("vitals", "vitals?", "server metrics"),
    Given("walk", "walk", "smoke test"),
    Given("Target", "targets?", "Route, LoadTarget, Attribution", "names"),
    Given("lane", "(?<!hot )lanes?", "bucket queue"),
    Given("lies ready", "l(?:ies?|ay) ready", "prefetched"),
    Given("went on", "(?:went|goes|go) on", "chained; resumes"),
    Given("Call", "call", "RequestContext", "names"),
    Given("caller", "callers?", "client"),
    Given("left", "left", "disconnected", "names"),
    Given("ByHand", "by hand", "overrides"),
    Given("as measured", "as measured", "measured"),
    Given("patience_s", "patience|patience s", "max_wait_s"),
    Given("enough_rows", "enough rows", "preferred_batch_size", "names"),
    Given("concurrent_runs", "concurrent runs?", "instances"),
    Given("run_threads", "run threads", "intra_op_threads"),
    Given("sketch", "sketch(?:es|ed)?", "summary features"),
    Given("Lesson", "lessons?", "LossModule"),
    Given("Reached", "reached", "TrainState", "names"),
    Given("Watcher", "watchers?", "callback"),
    Given("keep", "keep", "checkpoint", "names"),
    Given("stands still", "stands? still", "early stop"),
    Given("judge", "judges?|judged|judging", "compare"),
    Given("taught", "taught", "distilled"),
    Given("assist", "assists?", "run worker rank"),
    Given("part", "part", "leave group", "names"),
    Given("Made", "made", "Artifacts", "names"),
    Given("write_whole", "write whole", "atomic_write", "names"),
    Given("learns", "learns", "example kind", "names"),
    Given("label set", "label sets?", "prediction set; the JSON field stays"),
    Given("page-locked", "page[ -]locked", "pinned"),
    Given("what", "what", "the noun", "prose"),
    Given("who", "who|whom|whoever", "the noun", "prose"),
)
"""The table of words that were given up for those of the field."""


def sentences_of(file: Path) -> list[Sentence]:
    """Every sentence of a file, in its order."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        blocks = [*_docstrings_and_messages(text), *_comments(text)]
    elif file.suffix == ".md":
        blocks = list(_blocks(enumerate(FOLDED.sub(_blank, text).splitlines(), 1)))
    else:
        blocks = list(_hash_comments(text))
    found = [sentence for line, block in blocks for sentence in _sentences(file, line, block)]
    return sorted(found, key=lambda sentence: sentence.line)


FOLDED = re.compile(r"^<details>.*?^</details>$", re.MULTILINE | re.DOTALL)
"""A table that a program wrote, with what it saw: lists of figures, and no sentences."""


def _blank(folded: re.Match[str]) -> str:
    return "\n" * folded[0].count("\n")


FENCE = re.compile(r"\s*(?:```|~~~)")
ITEM = re.compile(r"\s*(?:[-*+•]|\d+[.)])\s+")
HEADING = re.compile(r"#+\s+")
TAG = re.compile(r"\s*<.*>\s*$")

Block = tuple[int, str]
"""The first line's number, and lines that belong together."""


def _blocks(lines: Iterable[tuple[int, str]]) -> Iterator[Block]:
    """Paragraphs, list items, headings and table cells of Markdown; no code."""
    block: list[str] = []
    start, fenced, listed = 0, False, False

    for number, line in [*lines, (0, "")]:
        if block and (
            not line.strip() or FENCE.match(line) or ITEM.match(line) or HEADING.match(line) or line[0] == "|"
        ):
            yield start, "\n".join(block)
            block = []
        if FENCE.match(line):
            fenced = not fenced
        elif fenced or not line.strip() or TAG.match(line):
            continue
        elif line.startswith("|"):
            yield from ((number, cell) for cell in re.split(r"(?<!\\)\|", line))
        elif heading := HEADING.match(line):
            listed = False
            yield number, line[heading.end() :]
        elif item := ITEM.match(line):
            start, block, listed = number, [line[item.end() :]], True
        elif block:
            block.append(line)
        elif listed or not line.startswith(("    ", "\t")):
            listed = listed and line.startswith(" ")
            start, block = number, [line.removeprefix("> ")]


ABBREVIATIONS = ("e.g.", "i.e.", "al.", "vs.", "cf.", "resp.", "approx.", "Fig.", "Eq.", "No.", "pp.")
END = re.compile(r"""[.!?]["')\]*_”’]*(?=\s)""")


def _sentences(file: Path, line: int, block: str) -> Iterator[Sentence]:
    """A block, cut after its full stops."""
    masked = _masked(block)
    ends = [end.end() for end in END.finditer(masked) if _ends(masked, end.end())]
    for start, end in pairwise([0, *ends, len(masked)]):
        words = sum(1 for token in masked[start:end].split() if re.search(r"\w", token))
        if words >= SHORTEST:
            lead = len(block[start:end]) - len(block[start:end].lstrip())
            first = line + block[: start + lead].count("\n")
            yield Sentence(file, first, " ".join(block[start:end].split()), words)


def _ends(text: str, end: int) -> bool:
    """Whether a full stop ends a sentence, and no abbreviation or initial."""
    before = text[:end].split()[-1].lstrip("(")
    return not (before in ABBREVIATIONS or re.fullmatch(r"[A-Z]\.", before))


def _masked(block: str) -> str:
    """The block with each code, address and link target as one word or none, and as long as before."""
    for pattern in (r"(?s)(`+)[^`].*?\1", r"https?://[^\s)>]+"):
        block = re.sub(pattern, lambda match: "x" * len(match[0]), block)
    return re.sub(r"\]\([^)\s]*\)|<[^>\s]*>", lambda match: " " * len(match[0]), block)


def _docstrings_and_messages(text: str) -> Iterator[Block]:
    """Strings that stand alone, texts of raised errors, and helps and descriptions of settings."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(doc), lineno=line)):
                first, _, rest = doc.partition("\n")
                lines = [first.strip(), *textwrap.dedent(rest).splitlines()]
                yield from _blocks(enumerate(lines, line))
            case ast.Raise(exc=ast.Call(args=arguments)):
                yield from ((argument.lineno, said) for argument in arguments if (said := _said(argument)))
            case ast.keyword(arg="help" | "description", value=value) if said := _said(value):
                yield value.lineno, said


def _said(node: ast.expr) -> str:
    """The text of a string or f-string, with `{}` for each value; empty for another expression."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_said(part) or "`{}`" for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_said(left)}{_said(right)}"
    return ""


PRAGMA = re.compile(r"#\s*(?:!|noqa|type:|mypy:|ruff:|fmt:|pragma|-\*-)")


def _comments(text: str) -> Iterator[Block]:
    """Comments of Python: lines of comments that follow one another are one text."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = [
        token for token in tokens if token.type == tokenize.COMMENT and not PRAGMA.match(token.string)
    ]
    alone = [(t.start[0], t.string) for t in comments if t.line.lstrip().startswith("#")]
    yield from _joined(alone)
    for token in comments:
        if not token.line.lstrip().startswith("#"):
            yield token.start[0], token.string.removeprefix("#").strip()


def _hash_comments(text: str) -> Iterator[Block]:
    """Comments of YAML, TOML, make and Docker that have lines of their own."""
    lines = enumerate(text.splitlines(), 1)
    return _joined(
        [
            (number, line.lstrip())
            for number, line in lines
            if line.lstrip().startswith("#") and not PRAGMA.match(line.lstrip())
        ]
    )


def _joined(comments: list[tuple[int, str]]) -> Iterator[Block]:
    """Comments on lines of their own, parsed as one document with a gap wherever lines of code are."""
    lines: list[tuple[int, str]] = []
    for number, comment in comments:
        if lines and number != lines[-1][0] + 1:
            lines.append((number - 1, ""))
        # Two spaces set a command apart in a comment, as four do in Markdown.
        lines.append((number, re.sub(r"^ {2,}", "    ", re.sub(r"^#+:? ?", "", comment))))
    return _blocks(lines)


def names_of(file: Path) -> list[tuple[int, str]]:
    """Each name in a Python file with its line, in words: `HotLane` and `hot_lane` are `hot lane`."""
    if file.suffix != ".py":
        return []
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
    return [
        (token.start[0], re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", token.string).strip())
        for token in tokens
        if token.type == tokenize.NAME
    ]


def given_up(file: Path, sentences: Iterable[Sentence]) -> list[tuple[Given, int, str]]:
    """Each line of a file that has a word of the table: the word, the line, and the text or name."""
    named, found = names_of(file), []
    for word in WORDS:
        if word.place != "names":
            # A file is named for its content until it moves: its path is no word of the sentence.
            texts = [(s.line, re.sub(r"\S*[/\\]\S*|\S+\.(?:py|png|svg|md)\b", "", s.text)) for s in sentences]
            found += [(word, line, text) for line, text in texts for _ in range(word.count(text))]
        if word.place != "prose":
            found += [(word, line, name) for line, name in named if word.count(name)]
    return found


def tracked() -> list[Path]:
    """The files of the repository that have prose of ours."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [ROOT / name for name in listed if name and not name.startswith(GENERATED) and _has_prose(name)]


def _has_prose(name: str) -> bool:
    path = Path(name)
    return path.suffix in {".py", ".md", ".toml", ".yml", ".yaml"} or path.name in {"Makefile", "Dockerfile"}


def files_under(paths: list[Path]) -> list[Path]:
    """Files as named, and of folders those with prose."""
    if not paths:
        return [file for file in tracked() if file.exists()]
    for path in paths:
        if not path.exists():
            raise SystemExit(f"paths: {path} is not there, expected a file or a folder")
    inside = [sorted(path.rglob("*")) if path.is_dir() else [path] for path in paths]
    return [file for files in inside for file in files if file.is_file() and _has_prose(file.name)]


def shown(file: Path) -> str:
    """A path as a terminal links it."""
    return str(file.relative_to(ROOT) if file.is_relative_to(ROOT) else file)


def main(argv: list[str] | None = None) -> int:
    """The exit status: 1 if a sentence or the mean is too long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", type=Path, nargs="*", help="files and folders; default: all that is tracked")
    parser.add_argument("--over", type=int, default=35, help="words of the longest sentence")
    parser.add_argument("--words", action="store_true", help="count by file the words that were given up")
    parser.add_argument("--word", help="list each place of one of them, such as wanted")
    options = parser.parse_args(argv)
    read = {file: sentences_of(file) for file in files_under(options.paths)}
    if options.words or options.word:
        _print_words(read, options.word)
    return _print_lengths([sentence for found in read.values() for sentence in found], options.over)


def _print_words(read: dict[Path, list[Sentence]], only: str | None) -> None:
    total: Counter[str] = Counter()
    for file, sentences in read.items():
        found = [entry for entry in given_up(file, sentences) if only in (None, entry[0].word)]
        counts = Counter(word.word for word, _, _ in found)
        total += counts
        if only:
            print("".join(f"{shown(file)}:{line}: {text}\n" for _, line, text in found), end="")
        elif counts:
            print(f"{shown(file)}: {', '.join(f'{word} {n}' for word, n in counts.most_common())}")
    says = {word.word: word.say for word in WORDS}
    print("\n".join(f"{count:6} {word} → {says[word]}" for word, count in total.most_common()), end="\n\n")


def _print_lengths(sentences: list[Sentence], over: int) -> int:
    long = [sentence for sentence in sentences if sentence.words > over]
    for sentence in long:
        print(f"{shown(sentence.file)}:{sentence.line}: {sentence.words} words: {sentence.text}")
    mean = sum(sentence.words for sentence in sentences) / max(len(sentences), 1)
    share = sum(sentence.words > LONG for sentence in sentences) / max(len(sentences), 1)
    print(
        f"{len(sentences)} sentences, {mean:.1f} words on the mean, "
        f"{share:.1%} over {LONG}, {len(long)} over {over}"
    )
    return int(bool(long) or mean > LONG)


if __name__ == "__main__":
    sys.exit(main())
