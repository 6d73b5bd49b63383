"""`python -m scripts.wings`: the wings of the packages, and which imports which; exit 1 where an arrow runs back.

The order below is the rule, and `tests/test_imports.py` holds it. `--dot` writes the graph for Graphviz.
"""

import argparse
import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

ORDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "inference": (
        ("options", "values", "folder", "configs"),
        ("errors",),
        ("manifest",),
        ("runtime", "triton"),
        ("store",),
        ("processors",),
        ("proving",),
        ("predictor",),
        ("__main__",),
    ),
    "serving": (
        ("lifecycle", "listening", "healthcheck"),
        ("settings",),
        ("access",),
        ("codec",),
        ("engine",),
        ("http", "observe"),
        ("app",),
        ("server",),
        ("workers",),
        ("bench", "page"),
        ("__main__",),
    ),
    "training": (
        ("errors", "lineage"),
        ("architectures", "flags"),
        ("config",),
        ("run", "results"),
        ("checks",),
        ("data",),
        ("evaluate",),
        ("tasks",),
        ("fit",),
        ("release",),
        ("pipeline",),
        ("__main__",),
    ),
}
"""The floors of each package, the lowest first: a wing imports those below it, and none beside it."""

PACKAGES = {"inference": (), "serving": ("inference",), "training": ("inference",)}
"""Which packages a package may import."""

MOST_ON_TOP = {"inference": 8, "serving": 8, "training": 9}
"""Modules outside of any wing."""


class Import(NamedTuple):
    """One import between two modules, by their dotted names."""

    file: Path
    line: int
    source: str
    target: str


def module_name(file: Path, root: Path = ROOT) -> str:
    """`serving/http/tls.py` → `serving.http.tls`."""
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def wing_of(module: str) -> str:
    """`serving.http.tls` → `http`; "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def imports(package: str, root: Path = ROOT) -> Iterator[Import]:
    """Every import of a module of ours, those under `TYPE_CHECKING` and inside functions too."""
    for file in sorted((root / package).rglob("*.py")):
        source = module_name(file, root)
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for target in _targets(node, root):
                    if target.partition(".")[0] in ORDER:
                        yield Import(file, node.lineno, source, target)


def _targets(node: ast.Import | ast.ImportFrom, root: Path) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif node.module:
        folder = root.joinpath(*node.module.split("."))
        for alias in node.names:  # `from package import module` names a module, not a value
            is_module = (folder / f"{alias.name}.py").is_file() or (folder / alias.name).is_dir()
            yield f"{node.module}.{alias.name}" if is_module else node.module


def floors(package: str) -> dict[str, int]:
    """The floor of each wing of a package."""
    return {wing: number for number, floor in enumerate(ORDER[package]) for wing in floor}


def faults(root: Path = ROOT) -> list[str]:
    """A line for each import that runs back, each wing without a floor, and each top floor that is too full."""
    found = [
        fault for package in PACKAGES for entry in imports(package, root) if (fault := _fault(entry, root))
    ]
    for package, most in MOST_ON_TOP.items():
        if (count := len(top_floor(package, root))) > most:
            found.append(f"{package}/: got {count} modules on the top floor, expected at most {most}")
    return found


def _fault(entry: Import, root: Path) -> str:
    package, other = entry.source.partition(".")[0], entry.target.partition(".")[0]
    place = f"{entry.file.relative_to(root)}:{entry.line}: {entry.source} imports {entry.target}"
    if other != package:
        return "" if other in PACKAGES[package] else f"{place}, a package that it must not know"
    levels, source, target = floors(package), wing_of(entry.source), wing_of(entry.target)
    if source == target or not source or not target:
        return ""
    if source not in levels or target not in levels:
        return f"{place}: one of them has no floor in scripts/wings.py"
    return f"{place}, which is above or beside it" if levels[target] >= levels[source] else ""


def top_floor(package: str, root: Path = ROOT) -> list[str]:
    """The modules outside of any wing."""
    return sorted(file.stem for file in (root / package).glob("*.py") if file.stem != "__init__")


def arrows(package: str, root: Path = ROOT) -> dict[str, set[str]]:
    """The imports of each wing, by wing; of another package its name alone."""
    found: dict[str, set[str]] = {}
    for entry in imports(package, root):
        source, other = wing_of(entry.source), entry.target.partition(".")[0]
        target = wing_of(entry.target) if other == package else other
        if source and target and source != target:
            found.setdefault(source, set()).add(target)
    return found


def _print_tables(package: str) -> None:
    levels = floors(package)
    sizes = {wing: len(list((ROOT / package / wing).rglob("*.py"))) or 1 for wing in levels}
    print(f"{package}/  ({len(top_floor(package))} modules on the top floor)")
    graph = arrows(package)
    for wing in sorted(levels, key=lambda name: -levels[name]):
        to = sorted(graph.get(wing, ()), key=lambda name: -levels.get(name, -1))
        print(
            f"  {levels[wing]:2d} {wing:14} {sizes[wing]:3d} modules → {', '.join(to) or 'nothing of ours'}"
        )


def _print_dot() -> None:
    print("digraph wings { rankdir=TB; node [shape=box];")
    for package in ORDER:
        for source, targets in sorted(arrows(package).items()):
            for target in sorted(targets):
                name = target if target in ORDER else f"{package}.{target}"
                print(f'  "{package}.{source}" -> "{name}";')
    print("}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the graph and its faults."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m scripts.wings")
    parser.add_argument("--dot", action="store_true", help="the graph in Graphviz's language")
    options = parser.parse_args(arguments)
    if options.dot:
        _print_dot()
    else:
        for package in ORDER:
            _print_tables(package)
    found = faults()
    for line in found:
        print(line, file=sys.stderr)
    return int(bool(found))


if __name__ == "__main__":
    raise SystemExit(main())
