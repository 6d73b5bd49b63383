"""Triton's `config.pbtxt` beside a model's version folders: the part that has a meaning here, and nothing quietly.

A field is honoured, or harmless and named in the log, or refused by name, since ignoring it would change answers. A
field that Triton does not know is refused with its line. Settings of our own stand under `parameters`, where Triton
lets anybody put anything, so that the folder stays one that Triton serves.

What the tensors look like then, to callers and to the graph, is `inference.triton_tensors`.
"""

import difflib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from inference.errors import ConfigInvalid
from inference.folder import version_named
from inference.options import Device
from inference.values import DataType

log = logging.getLogger("baton.config")

CONFIG_FILE = "config.pbtxt"
BATCHING = "baton.batching"
TRUSTED = "trusted"
_THREADS = "intra_op_thread_count"

_LONGEST = 1 << 20  # bytes of a configuration; people's have a few hundred
_BACKENDS = {"platform": "onnxruntime_onnx", "backend": "onnxruntime", "runtime": "libtriton_onnxruntime.so"}
_LEVELS: dict[int, Literal["all", "extended", "basic", "disabled"]] = {
    -1: "basic",
    0: "all",
    1: "extended",
    2: "disabled",
}
"""What Triton's ONNX Runtime backend makes of `optimization.graph.level`."""

HONOURED = {
    "name": "has to be the folder's",
    "platform": f"`{_BACKENDS['platform']}`, or absent",
    "backend": f"`{_BACKENDS['backend']}`, or absent",
    "runtime": f"`{_BACKENDS['runtime']}`, or absent",
    "version_policy": "before `--versions`",
    "max_batch_size": "0: rows of two requests never meet; N: a batch has at most N rows",
    "input.name": "has to be one of the graph's",
    "input.data_type": "has to be the graph's",
    "input.dims": "held against the graph's; what is narrower holds for requests",
    "input.reshape": "requests come in `dims`, the graph gets this",
    "input.format": "has to have 3 `dims`; shown to clients",
    "output.name": "has to be one of the graph's; outputs that are not listed are not answered",
    "output.data_type": "has to be the graph's",
    "output.dims": "held against the graph's",
    "output.reshape": "the graph gives this, answers have `dims`",
    "output.label_filename": "labels of the classification extension",
    "instance_group.kind": "only groups for the kind of `--device` count",
    "instance_group.count": "runs of the model at once",
    "instance_group.passive": "its instances do not count",
    "default_model_filename": "the graph's file in the version folder",
    "dynamic_batching.preferred_batch_size": "the biggest: rows with which a batch does not wait for more",
    "dynamic_batching.default_queue_policy.max_queue_size": "rows that may wait for a run before 429, at least a batch",
    "dynamic_batching.default_queue_policy.default_timeout_microseconds": "the deadline of an infer request",
    "optimization.graph.level": "-1 basic, 1 extended, 2 none, else all",
    "model_warmup": "what the model is warmed up and measured with",
    "parameters": f"`{_THREADS}`, and those that begin with `baton.`",
}

IGNORED = {
    "input.optional": "a graph's input is needed by the graph",
    "instance_group.name": "instances have no names",
    "instance_group.gpus": "`--device` and CUDA_VISIBLE_DEVICES say where graphs run",
    "instance_group.profile": "TensorRT's",
    "instance_group.rate_limiter": "the number of runs is the limit",
    "instance_group.secondary_devices": "TensorRT's",
    "instance_group.host_policy": "runs have the CPUs of the process",
    "dynamic_batching.max_queue_delay_microseconds": "whoever comes is run as soon as a run is free",
    "dynamic_batching.preserve_ordering": "each answer goes to its own request",
    "dynamic_batching.priority_levels": "there are two: 1, and everything after it",
    "dynamic_batching.default_priority_level": "a request without a priority is one of level 1",
    "dynamic_batching.priority_queue_policy": "one queue",
    "dynamic_batching.default_queue_policy.timeout_action": "a request whose deadline passes is refused",
    "dynamic_batching.default_queue_policy.allow_timeout_override": "the nearer of the two deadlines holds",
    "metric_tags": "metrics have the labels that the dashboards know",
    "model_metrics": "histograms have the bounds that the dashboards know",
    "response_cache": "every request is run",
    "optimization.priority": "TensorRT's",
    "optimization.cuda": "TensorRT's",
    "optimization.execution_accelerators": "`--device` says where graphs run, in the precision that they have",
    "optimization.input_pinned_memory": "used where a device gains by it",
    "optimization.output_pinned_memory": "used where a device gains by it",
    "optimization.gather_kernel_buffer_threshold": "TensorRT's",
    "optimization.eager_batching": "TensorRT's",
}
"""Harmless, with the reason: answers are the same without it."""

REFUSED = {
    "ensemble_scheduling": "models are not chained here: ask each of them",
    "sequence_batching": "requests here have no state in common",
    "batch_input": "no input is made from the other requests of a batch",
    "batch_output": "no output is cut by the shapes of the other requests",
    "model_operations": "no library of operators is loaded",
    "model_repository_agents": "nothing checks or changes files before they are loaded",
    "cc_model_filenames": "one graph serves on every device: name it in default_model_filename",
    "model_transaction_policy.decoupled": "a request has one answer",
    "input.is_shape_tensor": "that is TensorRT's",
    "input.is_non_linear_format_io": "that is TensorRT's",
    "input.allow_ragged_batch": "rows of different shapes are not put into one batch",
    "output.is_shape_tensor": "that is TensorRT's",
    "output.is_non_linear_format_io": "that is TensorRT's",
}
"""Without it other answers would come, or none: why it is not offered."""


class VersionPolicy(NamedTuple):
    """Which versions are served: so many of the newest good ones, or these alone; neither: all."""

    latest: int | None = None
    specific: tuple[int, ...] | None = None

    def versions(self, available: Sequence[int]) -> list[int]:
        """Those that may be served, ascending; of them the newest `latest` that are good."""
        return sorted(set(available) if self.specific is None else set(available) & set(self.specific))


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """What is said of one input or output; `dims` and `reshape` leave out the batch where there is a max_batch_size."""

    field: str
    name: str
    datatype: DataType | None
    dims: tuple[int, ...]
    reshape: tuple[int, ...] | None = None
    format: str = ""
    label_filename: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceGroup:
    """Instances of one kind; a `count` of 0 says nothing of how many."""

    kind: str
    count: int

    def runs_on(self, device: Device) -> bool:
        """Whether they are meant for this device."""
        return self.kind != ("KIND_GPU" if device == "cpu" else "KIND_CPU")


class WarmupInput(NamedTuple):
    """One tensor of a sample, without the batch; `file` is read, else the data are `random` or zeros."""

    datatype: DataType
    dims: tuple[int, ...]
    random: bool
    file: Path | None


class Warmup(NamedTuple):
    """A sample request."""

    name: str
    rows: int
    inputs: Mapping[str, WarmupInput]


@dataclass(frozen=True, slots=True)
class TritonConfig:
    """What a `config.pbtxt` says that has a meaning here. None: it says nothing of it."""

    file: Path
    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]
    max_batch_size: int | None
    """0: the first axis belongs to the request; else the rows of a batch at most."""
    trusted: bool
    """Whether the operator vouches for rows of different callers in one batch, whatever a proof says."""
    version_policy: VersionPolicy | None
    graph_file: str | None
    instance_groups: tuple[InstanceGroup, ...]
    threads: int | None
    """Of one run."""
    preferred_batch_size: int | None
    """Rows with which a batch does not wait for more."""
    max_queue_size: int | None
    """Requests that may wait; here rows, of which most have one."""
    default_timeout_us: int | None
    """Microseconds, the deadline of a request that names none and the latest of one that does."""
    optimization: Literal["all", "extended", "basic", "disabled"] | None
    warmups: tuple[Warmup, ...]
    parameters: Mapping[str, str]
    ignored: tuple[str, ...]
    """Fields that are set and harmless, and parameters that nobody here knows."""

    @classmethod
    def read(cls, bundle: Path) -> "TritonConfig | None":
        """The configuration of a version's folder, with its label files; None without one, else `ConfigInvalid`."""
        file = config_file(bundle)
        if not os.path.lexists(file):
            return None
        try:
            return _record(file, _parse(file))
        except _Fault as fault:
            raise ConfigInvalid(bundle, str(fault)) from None

    def instances(self, device: Device) -> int | None:
        """Runs at once on this device; None where no group that is meant for it says how many."""
        return sum(group.count for group in self.instance_groups if group.runs_on(device)) or None

    def versions(self, available: Sequence[int]) -> list[int]:
        """Those of the versions that are to be served if all are good, ascending; without a policy the newest."""
        policy = self.version_policy or VersionPolicy(latest=1)
        return policy.versions(available)[-policy.latest if policy.latest else None :]

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """What the elements of a row are called, by output."""
        return {entry.name: entry.labels for entry in self.outputs if entry.labels}

    def log_ignored(self, device: Device | None = None) -> None:
        """One line that names what is set and has no effect here."""
        names = [*self.ignored]
        if device is not None and any(not group.runs_on(device) for group in self.instance_groups):
            names.append(f"instance_group for another device than {device}")
        if names:
            model = self.file.parent.name
            log.info("%s: %s: without effect here: %s", model, CONFIG_FILE, ", ".join(names))


class Outline(NamedTuple):
    """What has to be known of a model's folder before a version of it is opened."""

    graph_file: str | None = None
    version_policy: VersionPolicy | None = None
    faulty: bool = False


def config_file(bundle: Path) -> Path:
    """Where the configuration of a version's folder stands: beside it; in it, if it is the model's own folder."""
    return (bundle if version_named(bundle.name) is None else bundle.parent) / CONFIG_FILE


def outline(model: Path) -> Outline:
    """Of a model's folder, read again only when the file changes; a faulty file refuses each version that is opened."""
    file = model / CONFIG_FILE
    try:
        stat = file.stat()
    except OSError:
        return Outline(faulty=os.path.lexists(file))
    return _outline(file, stat.st_mtime_ns, stat.st_size, stat.st_ino)


@lru_cache(maxsize=1024)
def _outline(file: Path, *_: int) -> Outline:
    try:
        message = _parse(file)
        return Outline(_graph_file(message), _version_policy(message))
    except _Fault:
        return Outline(faulty=True)


class _Fault(Exception):
    """What is wrong, as the operator is told."""

    def __init__(self, field: str, reason: str, line: int = 0) -> None:
        where = f"{CONFIG_FILE}:{line}" if line else CONFIG_FILE
        super().__init__(f"{where}: {field}: {reason}" if field else f"{where}: {reason}")


def _parse(file: Path) -> Any:
    """The message, with nothing in it that would have to be refused by name."""
    # Imported where a configuration is found, since most models have none and it takes a tenth of a second.
    from google.protobuf import text_format

    from inference.triton_schema import config_message

    text = _read_text(file)
    message = config_message()()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise _parse_fault(error) from None
    for field in _said(message):
        if field in REFUSED:
            raise _Fault(field, f"got it set, and without it answers would change: {REFUSED[field]}",
                         _line_of(text, field))  # fmt: skip
    for field, expected in _BACKENDS.items():
        seen = getattr(message, field)
        if seen not in ("", expected):
            raise _Fault(field, f"got {seen!r}, expected {expected!r}", _line_of(text, field))
    return message


def _read_text(file: Path) -> str:
    try:
        size = file.stat().st_size
        if size > _LONGEST:
            raise _Fault("", f"it has {size} bytes, expected at most {_LONGEST}")
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise _Fault("", f"it cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise _Fault("", f"got byte {error.start} that is not UTF-8, expected text") from None


def _parse_fault(error: Any) -> _Fault:
    """protobuf's complaint; of an unknown field, what it may have been meant to be."""
    line, text = error.GetLine() or 0, re.sub(r"^\d+:\d+ : ", "", str(error))
    found = re.search(r'Message type "[\w.]+\.(\w+)" has no field named "([^"]+)"', text)
    if found is None:
        return _Fault("", text.replace("baton.triton.", ""), line)
    from inference.triton_schema import MESSAGES

    message, name = found.groups()
    known = re.findall(r"(\w+) \S+ \d+", MESSAGES.get(message, ""))
    close = difflib.get_close_matches(name, known, 1)
    meant = f", did you mean {close[0]}?" if close else ""
    return _Fault(name, f"{message} has no such field{meant}", line)


def _said(message: Any, prefix: str = "") -> Iterator[str]:
    """The fields that say something, each as far as it is told apart here: `input.dims`, `optimization.cuda`."""
    for field, value in message.ListFields():
        path = f"{prefix}{field.name}"
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        if path in REFUSED or path in IGNORED or field.message_type is None:
            if value or field.message_type is not None:
                yield path
        elif field.message_type.GetOptions().map_entry:
            yield path
        else:
            for each in value if repeated else (value,):
                yield from _said(each, f"{path}.")


def _line_of(text: str, field: str) -> int:
    """The line of the field, where its name stands in one only; else 0."""
    name = re.compile(rf"^[^#\"']*\b{field.rsplit('.', 1)[-1]}\b")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if name.search(line)]
    return lines[0] if len(lines) == 1 else 0


def _record(file: Path, message: Any) -> TritonConfig:
    folder = file.parent
    if message.name not in ("", folder.name):
        raise _Fault("name", f"got {message.name!r}, expected {folder.name!r}, the folder's, or none")
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
            *sorted({field for field in _said(message) if field in IGNORED}),
            *(f"parameters.{key}" for key in parameters if key not in (_THREADS, BATCHING)),
        ),
    )


def _entry(kind: str, index: int, entry: Any, folder: Path) -> TensorEntry:
    field = f"{kind}[{index}]"
    if not entry.name:
        raise _Fault(f"{field}.name", "got none, expected the name of a tensor of the graph")
    dims = _shape(entry.dims, f"{field}.dims")
    reshape = _shape(entry.reshape.shape, f"{field}.reshape.shape") if entry.HasField("reshape") else None
    label_filename = entry.label_filename if kind == "output" else ""
    shown = _enum_name(entry, "format") if kind == "input" and entry.format else ""
    if shown and len(dims) != 3:
        raise _Fault(f"{field}.format", f"got {shown} with {len(dims)} dims, expected 3")
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
            raise _Fault(field, f"got {list(axes)}, expected axes of 1 and more, and -1 for any")
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
        raise _Fault(field, f"got {name!r}, which is not UTF-8, expected a label a line") from None
    return tuple(line.removesuffix("\r") for line in text.removesuffix("\n").split("\n"))


def _inside(folder: Path, name: str, field: str) -> Path:
    """A file of that folder, and never one outside."""
    file = folder / name
    if Path(name).is_absolute() or not file.resolve().is_relative_to(folder.resolve()):
        raise _Fault(field, f"got {name!r}, expected a file inside {folder.name}/")
    if not file.is_file():
        raise _Fault(field, f"got {name!r}, which is not there")
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
        raise _Fault("default_model_filename", f"got {name!r}, expected the name of a file")
    return name or None


def _trusted(parameters: Mapping[str, str]) -> bool:
    for key in parameters:
        if key.startswith("baton.") and key != BATCHING:
            raise _Fault(f"parameters.{key}", f"got a setting that is not known here, expected {BATCHING}")
    if parameters.get(BATCHING, TRUSTED) != TRUSTED:
        raise _Fault(f"parameters.{BATCHING}", f"got {parameters[BATCHING]!r}, expected {TRUSTED!r}")
    return BATCHING in parameters


def _threads(parameters: Mapping[str, str]) -> int | None:
    text = parameters.get(_THREADS, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise _Fault(f"parameters.{_THREADS}", f"got {text!r}, expected a number of threads, 0 as measured")
    return int(text) or None


def _preferred(sizes: Sequence[int], limit: int | None) -> int | None:
    for size in sizes:
        if size < 1 or (limit is not None and size > limit):
            expected = "1 and more" if limit is None else f"1 to max_batch_size, {limit}"
            raise _Fault("dynamic_batching.preferred_batch_size", f"got {size}, expected {expected}")
    return max(sizes, default=None)


def _at_least(least: int, value: int | None, field: str) -> int | None:
    if value is not None and value < least:
        raise _Fault(field, f"got {value}, expected {least} or more")
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
        raise _Fault(f"{field}.data_type", "got none, expected the input's")
    dims = _shape(tensor.dims, f"{field}.dims")
    if -1 in dims:
        raise _Fault(f"{field}.dims", f"got {list(dims)}, expected a size for each axis")
    if tensor.HasField("input_data_file"):
        file = _inside(folder / "warmup", tensor.input_data_file, f"{field}.input_data_file")
        return WarmupInput(datatype, dims, random=False, file=file)
    return WarmupInput(datatype, dims, random=tensor.HasField("random_data"), file=None)
