"""The tracked files of a repository and the names that its modules define, for the tools that look for dead code."""

import ast
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True, order=True)
class Finding:
    """A line, and the fault."""

    file: str
    line: int
    fault: str


@dataclass
class Tree:
    """The tracked files under a folder, each parsed once."""

    root: Path
    _parsed: dict[Path, ast.Module] = field(default_factory=dict)

    @cached_property
    def files(self) -> list[Path]:
        """Tracked files that are there."""
        listed = subprocess.run(
            ["git", "ls-files", "-z"],  # noqa: S607
            cwd=self.root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\0")
        return [self.root / name for name in listed if name and (self.root / name).is_file()]

    @cached_property
    def modules(self) -> list[Path]:
        """Files of Python."""
        return [file for file in self.files if file.suffix == ".py"]

    @cached_property
    def packages(self) -> set[str]:
        """Names of the packages at the top."""
        return {file.parent.name for file in self.modules if file.parent.parent == self.root}

    @cached_property
    def folders(self) -> set[str]:
        """Names of the tracked folders at the top."""
        return {file.relative_to(self.root).parts[0] for file in self.files if file.parent != self.root}

    @cached_property
    def classes(self) -> dict[str, list[ast.ClassDef]]:
        """Every class by its name."""
        found = defaultdict(list)
        for module in self.modules:
            for node in ast.walk(self.parse(module)):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(node)
        return found

    def parse(self, module: Path) -> ast.Module:
        """A module's syntax."""
        if module not in self._parsed:
            self._parsed[module] = ast.parse(module.read_text(encoding="utf-8"))
        return self._parsed[module]

    def relative(self, file: Path) -> str:
        """A file's path from the root."""
        return file.relative_to(self.root).as_posix()

    def attributes(self, name: str) -> set[str] | None:
        """All that the classes of a name define, with their bases; none if a base is not in the repository."""
        found: set[str] = set()
        for owner in self.classes[name]:
            found |= defined(owner.body) | _set_on_self(owner)
            for base in owner.bases:
                inherited = self.attributes(base.id) if isinstance(base, ast.Name) else None
                if not inherited:
                    return None
                found |= inherited
        return found or None


def defined(body: list[ast.stmt]) -> set[str]:
    """The names that a module or a class binds: functions, classes, variables and imports."""
    found: set[str] = set()
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found |= {alias.asname or alias.name.split(".")[0] for alias in names}
            case ast.If(body=then, orelse=other):
                found |= defined(then) | defined(other)
            case ast.Try(body=then, handlers=handlers):
                found |= defined(then).union(*(defined(handler.body) for handler in handlers))
            case _:
                found |= {
                    child.id
                    for child in ast.walk(node)
                    if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)
                }
    return found


def _set_on_self(owner: ast.ClassDef) -> set[str]:
    return {
        node.attr
        for node in ast.walk(owner)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
