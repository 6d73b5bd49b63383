"""The model that another starts from or is distilled from: its path, task and architecture."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from inference.folder import version_named
from inference.manifest import Manifest
from inference.store.located import MANIFEST_FILE

RUN_CONFIG = "config.json"

WEIGHTS_KEY = "baton.weights"
"""In the graph's metadata: {weight: [initializer, transposed]} as JSON."""


class Kind(NamedTuple):
    """A task's architecture, and the options that it was built with."""

    task: str
    arch: str
    options: dict[str, Any]


def newest_version(path: Path) -> Path:
    """A bundle's folder: `path` itself, or its newest version."""
    versions = {version: entry for entry in path.glob("*") if (version := version_named(entry.name))}
    return versions[max(versions)] if versions else path


def kind_of(path: Path) -> Kind | None:
    """The kind of a bundle, of the newest in a bundle's folder, or of a run; None for a checkpoint."""
    try:
        if (run := path / RUN_CONFIG).is_file():
            config = json.loads(run.read_text())
            return Kind(config["task"], config["arch"], config["model"])
        manifest = Manifest.model_validate_json((newest_version(path) / MANIFEST_FILE).read_bytes())
        return Kind(task_of(manifest), manifest.architecture, options_of(manifest))
    except (OSError, ValueError, KeyError, TypeError):  # pydantic's and json's own are ValueErrors
        return None  # opening it later raises the error that names the fault


def task_of(manifest: Manifest) -> str:
    """The word behind `baton train`, which may be another than the task that serving knows the bundle by."""
    config = manifest.provenance.config if manifest.provenance else {}
    return str(config.get("task", manifest.task))


def options_of(manifest: Manifest) -> dict[str, Any]:
    """The options that a bundle's architecture was built with; none where it does not say how it was trained."""
    config = manifest.provenance.config if manifest.provenance else {}
    options: dict[str, Any] = json.loads(str(config.get("model", "{}")))
    return options
