"""The settings that are really in force, which may differ from those asked for."""

import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from inference.runtime.machine import available_cpus, cpu_quota
from inference.runtime.providers import available_providers
from serving.engine.inflight import InflightBytes
from serving.engine.registry import ModelRegistry
from serving.engine.served_model import ServedModel

SERVER_NAME = "baton"
_LIBRARIES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "numpy",
    "pillow",
    "fastapi",
    "uvicorn",
    "uvloop",
    "msgspec",
    "orjson",
)


@cache
def server_version() -> str:
    """Of the installed distribution; "0" from a checkout that was never installed."""
    return _version(SERVER_NAME) or "0"


def diagnose(registry: ModelRegistry, device: str, inflight: InflightBytes) -> dict[str, Any]:
    """Quota, bounds, providers, libraries, and every version with its plan, or why it was refused."""
    return {
        "version": server_version(),
        "python": sys.version.split()[0],
        "libraries": {name: found for name in _LIBRARIES if (found := _version(name))},
        "cpu_quota": cpu_quota(),
        "cpus": available_cpus(),
        "inflight_bytes": {"limit": inflight.limit, "held": inflight.used, "of_one_request": inflight.most},
        "device": device,
        "providers": available_providers(),
        "models": [_model(model) for model in registry.served()],
        "versions": [
            {"name": entry.name, "version": entry.version, "state": entry.state, "reason": entry.reason}
            for entry in registry.index()
        ],
    }


def _model(model: ServedModel) -> dict[str, Any]:
    manifest, session = model.manifest, model.predictor.session
    graph, proof = manifest.graphs[model.predictor.precision].file, model.profile.batching
    return {
        "name": model.name,
        "version": model.version,
        "task": manifest.task,
        "precision": model.predictor.precision,
        "provider": session.provider,
        "threads": session.options.threads,
        "optimization": session.options.optimization,
        "graph_sha256": manifest.files[graph].sha256,
        "plan": model.batcher.plan.as_json(),
        "measured": model.profile.measured,
        "note": model.profile.note,
        "one_by_one": model.batcher.one_by_one or (proof.reason if proof else ""),
        "inline_bytes": model.inline_bytes,
        "loaded_at": model.loaded_at,
        "answered": model.metrics.successes,
        "queued_rows": model.batcher.queued_rows,
        "pending_rows": model.batcher.admission.pending_rows,
    }


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
