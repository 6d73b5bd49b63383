"""Finds code that nothing uses, and references to files, modules and names that are gone.

    python -m scripts.dead_code [folder]

Vulture lists the names that are defined and never read; `OUTSIDE` and `DECORATORS` hold those that a library reads.
A name that only tests read is listed too. `scripts.references` lists the references. Exits 1 if anything is found.
"""

import argparse
import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from vulture import Vulture

from scripts.references import stale
from scripts.tree import Finding, Tree

ROOT = Path(__file__).resolve().parent.parent

OUTSIDE = {
    "forward": "torch.nn.Module calls it",
    "extra_repr": "torch.nn.Module prints it",
    "full_state_update": "torchmetrics reads it of a metric's class",
    "get_next": "ONNX Runtime's calibration calls it",
    "do_GET": "http.server calls it",
    "do_POST": "http.server calls it",
    "log_message": "http.server calls it",
    "get_buffer": "asyncio.BufferedProtocol",
    "buffer_updated": "asyncio.BufferedProtocol",
    "sizehint": "asyncio.BufferedProtocol",
    "handle_exit": "uvicorn.Server registers it for signals",
    "should_exit": "uvicorn.Server reads it in its main loop",
    "model_config": "pydantic reads it of a model's class",
    "settings_customise_sources": "pydantic-settings calls it by keyword, with the arguments below",
    "settings_cls": "pydantic-settings",
    "env_settings": "pydantic-settings",
    "dotenv_settings": "pydantic-settings",
    "file_secret_settings": "pydantic-settings",
    "pytestmark": "pytest reads it of a module",
    "pytest_*": "pytest calls them of a conftest",
    "HONOURED": "completes the table of Triton's fields, which a test compares with the schema",
    "convolutions": "a test runs it in a process of its own",
    "registered": "code from outside brings a task or an architecture by it, as a test does",
    "_internal": "the Grafana SDK's builders read it",
    "__setitem__": "an assignment calls it; vulture takes one with positional parameters for a function",
    "_sweeping": "a task that nothing refers to may be collected while it runs (asyncio.create_task)",
}
"""Names that code outside this repository reads, and which."""

DECORATORS = ["@app.*", "@router.*", "@field_validator", "@model_validator", "@pytest.fixture"]
"""Decorators that hand a function over to a library."""

COPYING = {"copy", "deepcopy"}
PICKLING = {*COPYING, "dump", "dumps", "load", "loads"}
HOOKS = {
    "__copy__": COPYING,
    "__deepcopy__": COPYING,
    "__reduce__": PICKLING,
    "__getstate__": PICKLING,
    "__setstate__": PICKLING,
}
"""Special methods that these functions call, and no syntax does. Vulture takes every special method as used."""


def dead(tree: Tree) -> Iterator[Finding]:
    """Names that nothing reads, and names that only tests read."""
    tests = [file for file in tree.modules if tree.relative(file).startswith("tests/")]
    vulture = Vulture(ignore_names=list(OUTSIDE), ignore_decorators=DECORATORS)
    vulture.scavenge([file for file in tree.modules if file not in tests])
    unread = vulture.get_unused_code(min_confidence=60)
    vulture.scavenge(tests)
    unused = {(item.filename, item.first_lineno, item.name): item for item in vulture.get_unused_code(60)}
    for item in [*unused.values(), *unread]:
        file, line, kind, name = Path(item.filename), item.first_lineno, item.typ, item.name
        if kind == "import" or _is_read_outside(tree.parse(file), kind, name, line):
            continue  # of imports ruff says so (F401), which knows annotations in quotes
        reader = "nothing" if (item.filename, line, name) in unused else "only a test"
        yield Finding(tree.relative(file), line, f"{kind} '{name}': {reader} reads it")


def _is_read_outside(module: ast.Module, kind: str, name: str, line: int) -> bool:
    """A field is read with its whole record, as JSON or a tuple; an attribute of another's object by its owner."""
    nodes = [node for node in ast.walk(module) if getattr(node, "lineno", None) == line]
    if kind == "attribute":
        return not any(
            isinstance(node, ast.Attribute)
            and node.attr == name
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            for node in nodes
        )
    owners = [node for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    return any(isinstance(node, ast.AnnAssign) and node in owner.body for node in nodes for owner in owners)


def hooks(tree: Tree) -> Iterator[Finding]:
    """Special methods for copying, of a class that no module names beside a function which copies."""
    for module in tree.modules:
        for owner in ast.walk(tree.parse(module)):
            if not isinstance(owner, ast.ClassDef):
                continue
            for hook in owner.body:
                if isinstance(hook, ast.FunctionDef) and hook.name in HOOKS:
                    callers = HOOKS[hook.name]
                    used = [_names(tree.parse(other)) for other in tree.modules]
                    if not any(owner.name in names and callers & names for names in used):
                        fault = f"method '{owner.name}.{hook.name}': nothing copies a {owner.name}"
                        yield Finding(tree.relative(module), hook.lineno, fault)


def _names(module: ast.Module) -> set[str]:
    """Names and attributes that a module reads."""
    nodes = list(ast.walk(module))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def main(argv: list[str] | None = None) -> int:
    """The exit status: 1 if anything is found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT, help="the repository's root")
    tree = Tree(parser.parse_args(argv).folder.resolve())
    found = sorted({*dead(tree), *hooks(tree), *stale(tree)})
    print("".join(f"{finding.file}:{finding.line}: {finding.fault}\n" for finding in found), end="")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
