"""Reads the `config.pbtxt` of a model's folder: from Triton's message to a `TritonConfig`, checked field by field."""

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from inference.errors import ConfigInvalid
from inference.folder import version_named
from inference.triton.config import (
    InstanceGroup,
    TensorEntry,
    TritonConfig,
    VersionPolicy,
    Warmup,
    WarmupInput,
)
from inference.triton.fields import BATCHING, CONFIG_FILE, IGNORED, THREADS, TRUSTED
from inference.triton.parsing import ConfigFault, ConfigUnreadable, fields_set, parse
from inference.values import DataType

_LEVELS: dict[int, Literal["all", "extended", "basic", "disabled"]] = {
    -1: "basic",
    0: "all",
    1: "extended",
    2: "disabled",
}
"""The meaning that `optimization.graph.level` has for Triton's ONNX Runtime backend."""


def read_config(bundle: Path) -> TritonConfig | None:
    """The configuration of a version's folder, with its label files; None without one, else `ConfigInvalid`."""
    file = config_file(bundle)
    if not os.path.lexists(file):
        return None
    try:
        return _record(file, parse(file))
    except ConfigFault as fault:
        raise ConfigInvalid(bundle, str(fault)) from None


class Outline(NamedTuple):
    """The facts of a model's folder that are needed before a version of it is opened."""

    graph_file: str | None = None
    version_policy: VersionPolicy | None = None
    faulty: bool = False


def outline(model: Path) -> Outline:
    """Of a model's folder, read again only when the file changes; a faulty file refuses each version that is opened."""
    file = model / CONFIG_FILE
    try:
        stat = file.stat()
    except OSError:
        return Outline(faulty=os.path.lexists(file))
    try:
        return _outline(file, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except ConfigUnreadable:  # which may mend itself without a change, so that it is read again
        return Outline(faulty=True)


@lru_cache(maxsize=1024)
def _outline(file: Path, *_: int) -> Outline:
    try:
        message = parse(file)
        return Outline(_graph_file(message), _version_policy(message))
    except ConfigUnreadable:
        raise
    except ConfigFault:
        return Outline(faulty=True)


def _record(file: Path, message: Any) -> TritonConfig:
    folder = file.parent
    if message.name not in ("", folder.name):
        raise ConfigFault("name", f"got {message.name!r}, expected {folder.name!r}, the folder's, or none")
    batching = message.dynamic_batching
    queue = batching.default_queue_policy
    limit = message.max_batch_size if message.HasField("max_batch_size") else None
    parameters = {key: message.parameters[key].string_value for key in sorted(message.parameters)}
    level = message.optimization.graph.level
    return TritonConfig(
        file=file,
        inputs=tuple(_entry("input", index, entry, folder) for index, entry in enumerate(message.input)),
        outputs=tuple(_entry("output", index, entry, folder) for index, entry in enumerate(message.output)),
        max_batch_size=_at_least(0, limit, "max_batch_size"),
        trusted=_trusted(parameters),
        version_policy=_version_policy(message),
        graph_file=_graph_file(message),
        instance_groups=tuple(
            InstanceGroup(
                _enum_name(group, "kind"),
                _at_least(0, group.count, f"instance_group[{index}].count") or 0,
            )
            for index, group in enumerate(message.instance_group)
            if not group.passive
        ),
        threads=_threads(parameters),
        preferred_batch_size=_preferred(batching.preferred_batch_size, limit),
        max_queue_size=queue.max_queue_size or None,
        default_timeout_us=queue.default_timeout_microseconds or None,
        optimization=_LEVELS.get(level, "all") if message.optimization.HasField("graph") else None,
        warmups=tuple(_warmup(index, each, folder) for index, each in enumerate(message.model_warmup)),
        parameters=parameters,
        ignored=(
            *sorted({field for field in fields_set(message) if field in IGNORED}),
            *(f"parameters.{key}" for key in parameters if key not in (THREADS, BATCHING)),
        ),
    )


def _entry(kind: str, index: int, entry: Any, folder: Path) -> TensorEntry:
    field = f"{kind}[{index}]"
    if not entry.name:
        raise ConfigFault(f"{field}.name", "got none, expected the name of a tensor of the graph")
    dims = _shape(entry.dims, f"{field}.dims")
    reshape = _shape(entry.reshape.shape, f"{field}.reshape.shape") if entry.HasField("reshape") else None
    label_filename = entry.label_filename if kind == "output" else ""
    shown = _enum_name(entry, "format") if kind == "input" and entry.format else ""
    if shown and len(dims) != 3:
        raise ConfigFault(f"{field}.format", f"got {shown} with {len(dims)} dims, expected 3")
    return TensorEntry(
        field,
        entry.name,
        _datatype(entry),
        dims,
        reshape,
        shown,
        label_filename,
        _labels(folder, label_filename, f"{field}.label_filename") if label_filename else (),
    )


def _shape(axes: Sequence[int], field: str) -> tuple[int, ...]:
    for axis in axes:
        if axis < 1 and axis != -1:
            raise ConfigFault(field, f"got {list(axes)}, expected axes of 1 and more, and -1 for any")
    return tuple(axes)


def _datatype(message: Any) -> DataType | None:
    name = _enum_name(message, "data_type").removeprefix("TYPE_")
    if name == "INVALID":
        return None
    return DataType.BYTES if name == "STRING" else DataType(name)


def _enum_name(message: Any, field: str) -> str:
    name: str = (
        message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number[getattr(message, field)].name
    )
    return name


def _labels(folder: Path, name: str, field: str) -> tuple[str, ...]:
    """One a line; an empty line is the label of its index, as in Triton."""
    try:
        text = _inside(folder, name, field).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigFault(field, f"got {name!r}, which is not UTF-8, expected a label a line") from None
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))


def _inside(folder: Path, name: str, field: str) -> Path:
    """A file of that folder, and never one outside."""
    file = folder / name
    if Path(name).is_absolute() or not file.resolve().is_relative_to(folder.resolve()):
        raise ConfigFault(field, f"got {name!r}, expected a file inside {folder.name}/")
    if not file.is_file():
        raise ConfigFault(field, f"got {name!r}, which is not there")
    return file


def _version_policy(message: Any) -> VersionPolicy | None:
    policy = message.version_policy
    if policy.HasField("specific"):
        return VersionPolicy(specific=tuple(policy.specific.versions))
    if policy.HasField("latest"):
        return VersionPolicy(latest=policy.latest.num_versions or 1)
    return VersionPolicy() if policy.HasField("all") else None


def _graph_file(message: Any) -> str | None:
    name: str = message.default_model_filename
    if name and (name in (".", "..") or "/" in name or "\\" in name):
        raise ConfigFault("default_model_filename", f"got {name!r}, expected the name of a file")
    return name or None


def _trusted(parameters: Mapping[str, str]) -> bool:
    for key in parameters:
        if key.startswith("baton.") and key != BATCHING:
            raise ConfigFault(
                f"parameters.{key}", f"got a setting that is not known here, expected {BATCHING}"
            )
    if parameters.get(BATCHING, TRUSTED) != TRUSTED:
        raise ConfigFault(f"parameters.{BATCHING}", f"got {parameters[BATCHING]!r}, expected {TRUSTED!r}")
    return BATCHING in parameters


def _threads(parameters: Mapping[str, str]) -> int | None:
    text = parameters.get(THREADS, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise ConfigFault(
            f"parameters.{THREADS}",
            f"got {text!r}, expected a number of threads, or 0 for the measured number",
        )
    return int(text) or None


def _preferred(sizes: Sequence[int], limit: int | None) -> int | None:
    for size in sizes:
        if size < 1 or (limit is not None and size > limit):
            expected = "1 and more" if limit is None else f"1 to max_batch_size, {limit}"
            raise ConfigFault("dynamic_batching.preferred_batch_size", f"got {size}, expected {expected}")
    return max(sizes, default=None)


def _at_least(least: int, value: int | None, field: str) -> int | None:
    if value is not None and value < least:
        raise ConfigFault(field, f"got {value}, expected {least} or more")
    return value


def _warmup(index: int, sample: Any, folder: Path) -> Warmup:
    field = f"model_warmup[{index}]"
    rows = _at_least(1, sample.batch_size if sample.HasField("batch_size") else 1, f"{field}.batch_size") or 1
    inputs = {
        name: _warmup_input(sample.inputs[name], f"{field}.inputs.{name}", folder)
        for name in sorted(sample.inputs)  # a map has no order of its own
    }
    return Warmup(sample.name, rows, inputs)


def _warmup_input(tensor: Any, field: str, folder: Path) -> WarmupInput:
    datatype = _datatype(tensor)
    if datatype is None:
        raise ConfigFault(f"{field}.data_type", "got none, expected the input's")
    dims = _shape(tensor.dims, f"{field}.dims")
    if -1 in dims:
        raise ConfigFault(f"{field}.dims", f"got {list(dims)}, expected a size for each axis")
    if tensor.HasField("input_data_file"):
        file = _inside(folder / "warmup", tensor.input_data_file, f"{field}.input_data_file")
        return WarmupInput(datatype, dims, random=False, file=file)
    return WarmupInput(datatype, dims, random=tensor.HasField("random_data"), file=None)


def config_file(bundle: Path) -> Path:
    """Where the configuration of a version's folder stands: beside it; in it, if it is the model's own folder."""
    return (bundle if version_named(bundle.name) is None else bundle.parent) / CONFIG_FILE
