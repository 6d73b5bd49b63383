"""A served model in the words of the protocol: metadata, Triton's configuration, statistics."""

from collections.abc import Iterable, Sequence
from typing import Any

from inference.manifest import Manifest, TensorSpec
from inference.runtime.providers import CPU
from inference.triton.config import TritonConfig, VersionPolicy
from inference.values import DataType
from serving.codec.inputs import is_column
from serving.engine.context import STAGES
from serving.engine.metrics import ModelMetrics
from serving.engine.served_model import ServedModel

PLATFORM = "onnxruntime_onnx"  # Triton's word for it


def metadata(model: ServedModel, versions: Iterable[int]) -> dict[str, Any]:
    """Model metadata; `versions` are those that answer."""
    return {
        "name": model.name,
        "versions": [str(version) for version in versions],
        "platform": PLATFORM,
        "inputs": [_input(spec, model.manifest) for spec in model.manifest.inputs],
        "outputs": [_tensor(spec) for spec in model.manifest.outputs],
    }


def config(model: ServedModel) -> dict[str, Any]:
    """The part of Triton's ModelConfig that its clients and perf_analyzer read."""
    manifest, plan = model.manifest, model.batcher.plan
    batched = manifest.max_batch_size > 0
    on_gpu = model.predictor.session.provider != CPU
    told: dict[str, Any] = {
        "name": model.name,
        "platform": PLATFORM,
        "backend": "onnxruntime",
        "version_policy": {"specific": {"versions": [model.version]}},
        "max_batch_size": manifest.max_batch_size,
        "input": [_config_input(spec, manifest) for spec in manifest.inputs],
        "output": [_config_tensor(spec, manifest) for spec in manifest.outputs],
        "instance_group": [
            {
                "name": model.name,
                "kind": "KIND_GPU" if on_gpu else "KIND_CPU",
                "count": plan.instances,
            }
        ],
        "default_model_filename": manifest.graphs[model.predictor.precision].file,
        "parameters": {
            name: {"string_value": str(value)}
            for name, value in {"threads": model.profile.chosen.threads, **plan.as_json()}.items()
            if value is not None
        },
        "model_transaction_policy": {"decoupled": False},
    }
    configured = model.predictor.bundle.config
    if configured is not None:
        _tell_configured(told, configured)
    if batched:
        told["dynamic_batching"] = {
            "preferred_batch_size": [plan.preferred_batch_size],
            "max_queue_delay_microseconds": 0,
        }
    return told


def _tell_configured(told: dict[str, Any], config: TritonConfig) -> None:
    """Add the fields of a `config.pbtxt` that other models do not have."""
    policy = config.version_policy
    if policy is not None:
        told["version_policy"] = _version_policy(policy)
    told["parameters"] = {key: {"string_value": value} for key, value in config.parameters.items()} | told[
        "parameters"
    ]
    for kind, entries in (("input", config.inputs), ("output", config.outputs)):
        by_name = {tensor["name"]: tensor for tensor in told[kind]}
        for entry in entries:
            tensor = by_name[entry.name]
            if entry.reshape is not None:
                # Where rows were not proved to be a batch, they are told as an axis like any other.
                rows = [-1] if config.max_batch_size and not told["max_batch_size"] else []
                tensor["reshape"] = {"shape": [*rows, *entry.reshape]}
            if entry.format:
                tensor["format"] = entry.format
            if entry.label_filename:
                tensor["label_filename"] = entry.label_filename


def _version_policy(policy: VersionPolicy) -> dict[str, Any]:
    if policy.specific is not None:
        return {"specific": {"versions": list(policy.specific)}}
    return {"latest": {"num_versions": policy.latest}} if policy.latest else {"all": {}}


def statistics(model: ServedModel) -> dict[str, Any]:
    """One entry of `model_stats`: counts and nanoseconds since the version was loaded."""
    seen = model.metrics
    answered = seen.successes
    nothing = {"count": 0, "ns": 0}
    return {
        "name": model.name,
        "version": str(model.version),
        "last_inference": seen.last_inference_ms,
        "inference_count": seen.rows,
        "execution_count": seen.executions,
        "inference_stats": {
            "success": {"count": answered, "ns": seen.requests.total},
            "fail": {"count": sum(seen.triton_failures().values()), "ns": 0},
            "queue": {"count": answered, "ns": _ns(seen, "queue")},
            "compute_input": {"count": answered, "ns": _ns(seen, "decode", "preprocess")},
            "compute_infer": {"count": answered, "ns": _ns(seen, "run")},
            "compute_output": {"count": answered, "ns": _ns(seen, "postprocess", "encode")},
            "cache_hit": nothing,
            "cache_miss": nothing,
        },
        "response_stats": {},
        "batch_stats": [
            {
                "batch_size": rows,
                "compute_input": {"count": tally.count, "ns": 0},
                "compute_infer": {"count": tally.count, "ns": tally.total},
                "compute_output": {"count": tally.count, "ns": 0},
            }
            for rows, tally in sorted(seen.batches.items())
        ],
        "memory_usage": [],
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype.value, "shape": list(spec.shape)}


def _input(spec: TensorSpec, manifest: Manifest) -> dict[str, Any]:
    told = _tensor(spec)
    return {**told, "shape": [-1, 1]} if is_column(spec, manifest) else told


def _config_input(spec: TensorSpec, manifest: Manifest) -> dict[str, Any]:
    return {**_config_tensor(spec, manifest), "optional": False}  # which tritony reads


def _config_tensor(spec: TensorSpec, manifest: Manifest) -> dict[str, Any]:
    """A column is shown with the reshape by which Triton takes it to the graph; PyTriton refuses empty `dims`."""
    datatype = "STRING" if spec.datatype is DataType.BYTES else spec.datatype.value
    told = {"name": spec.name, "data_type": f"TYPE_{datatype}"}
    if is_column(spec, manifest):
        return {**told, "dims": [1], "reshape": {"shape": []}}
    dims: Sequence[int] = spec.shape[1:] if manifest.max_batch_size else spec.shape
    return {**told, "dims": list(dims)}


def _ns(seen: ModelMetrics, *stages: str) -> int:
    return sum(seen.stages[STAGES.index(stage)].total for stage in stages)
