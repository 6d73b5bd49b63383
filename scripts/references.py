"""Finds references to modules, files and names that are gone: in comments, strings, documents and container files."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from scripts.tree import Finding, Tree, defined

HISTORY = ("CHANGELOG.md", "benchmarks/results/*", "models/*", "*.json", "*.svg", "*.html")
"""Files that say how things were, and those that a program wrote."""
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".sh", ""}
FOREIGN = re.compile(r"serving\.(kserve|knative)\b|inference\.[A-Z]")
"""Dotted names of others that begin like a package of ours: of Kubernetes' resources and of KServe's protobuf."""

FILE = re.compile(
    r"(?<![\w./{}<>*-])((?:\.\.?/)*[\w.-]+(?:/[\w.-]+)+\.(?:py|md|toml|sh|ya?ml|html|svg|png))\b(?!/)"
)
MEMBER = re.compile(r"`([A-Z]\w+)\.(\w+)(?:\(.*?\))?`")


def stale(tree: Tree) -> Iterator[Finding]:
    """Every reference that leads nowhere."""
    for file in tree.files:
        name = tree.relative(file)
        if file.suffix in SUFFIXES and not any(fnmatch(name, pattern) for pattern in HISTORY):
            for line, text in _texts(file):
                prose = file.suffix != ".py" or text.startswith(("#", '"""', 'r"""'))
                for at, part in enumerate(text.splitlines(), line):
                    yield from (Finding(name, at, fault) for fault in _faults(tree, file, part, prose))


def _texts(file: Path) -> Iterator[tuple[int, str]]:
    """The comments and strings of a module with their first lines, or all of another file."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        yield 1, text
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        # A part of an f-string is a token of another kind from Python 3.12 on, and often half a path.
        half = token.type == tokenize.STRING and "f" in token.string[:2].lower()
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and not half):
            yield token.start[0], token.string


def _faults(tree: Tree, file: Path, text: str, prose: bool) -> Iterator[str]:
    """Of strings in code only dotted paths are looked at: a test's file need not be there before it runs."""
    packages = "|".join(sorted(tree.packages))
    for match in re.finditer(rf"(?<![\w./@-])((?:{packages})(?:\.[A-Za-z_]\w*)+)(?![\w/*-]|\.\w)", text):
        dotted = match[1]
        if not FOREIGN.match(dotted) and not _is_file(dotted) and not leads_to(tree, dotted):
            yield f"'{dotted}' names no module, and no name in one"
    if not prose:
        return
    for path in FILE.findall(text):
        ours = path.startswith("..") or path.split("/")[0] in tree.folders
        if ours and not any((base / path).exists() for base in (tree.root, file.parent)):
            yield f"'{path}' is no file"
    for owner, member in MEMBER.findall(text):
        attributes = tree.attributes(owner) if owner in tree.classes else None
        if attributes and member not in attributes:
            yield f"'{owner}.{member}': the class has no such name"


def _is_file(dotted: str) -> bool:
    """`training.toml` is a file's name."""
    return dotted.rsplit(".", 1)[1] in {
        "py",
        "md",
        "toml",
        "json",
        "yaml",
        "yml",
        "html",
        "png",
        "svg",
        "log",
    }


def leads_to(tree: Tree, dotted: str) -> bool:
    """Whether a dotted path is a package or module, a name in one, or an attribute of a class in one."""
    path, names = tree.root, dotted.split(".")
    while names and (path / names[0]).is_dir():
        path /= names.pop(0)
    module = path / "__init__.py"
    if names and (path / f"{names[0]}.py").is_file():
        module = path / f"{names.pop(0)}.py"
    if not names:
        return True
    if not module.is_file():
        return False
    body = tree.parse(module).body
    if names[0] not in defined(body):
        return names[0].startswith("__")
    owner = next((node for node in body if isinstance(node, ast.ClassDef) and node.name == names[0]), None)
    attributes = tree.attributes(owner.name) if owner and len(names) > 1 else None
    return attributes is None or names[1] in attributes
