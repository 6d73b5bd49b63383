"""The cases, a module for each area; `areas` finds them by their files."""

from importlib import import_module
from pkgutil import iter_modules


def areas() -> list[str]:
    """The names of the modules here, each of which registers its cases when it is imported."""
    names = sorted(module.name for module in iter_modules(__path__))
    for name in names:
        import_module(f"{__name__}.{name}")
    return names
