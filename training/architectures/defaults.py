"""The settings of an architecture on data without a recipe of its own: ARCHITECTURE.toml beside the architecture.

    NAME = VALUE …      the defaults, under every flag
    [model]             the architecture's own options
    [transfer]          over them where the model starts from another (`init_from`), with a [transfer.model]
    [search]            the values that `--search` draws from, with a [search.model]

They are plain data, and no module of PyTorch is imported to read them. `python -m benchmarks.find_defaults` is a
procedure to find those of text.
"""

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

Space = dict[str, list[Any]]
"""The values that a search draws from, by setting."""


@dataclass(frozen=True)
class Defaults:
    """The tables of one file; all are empty where an architecture has none.

    settings, transfer: as a configuration has them. space, options: by setting, and by the architecture's own option.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    transfer: dict[str, Any] = field(default_factory=dict)
    space: Space = field(default_factory=dict)
    options: Space = field(default_factory=dict)

    def for_start(self, *, transferred: bool) -> dict[str, Any]:
        """The settings of a model that starts from another's weights, or from random ones."""
        return {**self.settings, **self.transfer} if transferred else dict(self.settings)


def defaults_of(arch: str) -> Defaults:
    """Those of a built-in architecture."""
    file = resources.files("training") / "architectures" / f"{arch}.toml"
    if not file.is_file():
        return Defaults()
    settings = tomllib.loads(file.read_text())
    transfer, space = settings.pop("transfer", {}), settings.pop("search", {})
    options = space.pop("model", {})
    return Defaults(settings, transfer, space, options)
