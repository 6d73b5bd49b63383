"""One ONNX Runtime session, with every choice that matters made explicitly."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import onnxruntime as ort

from inference.binding import BoundRuns
from inference.errors import BatonError, GraphInvalid, InferenceFailed, ProviderUnavailable
from inference.machine import available_cpus
from inference.manifest import Manifest, TensorSpec
from inference.options import Device
from inference.providers import CPU, TENSORRT, check_device, provider_list, tensorrt_options
from inference.strings import run_with_bytes
from inference.values import Array, DataType, Tensors

# The level at which graphs are proved, replayed and served. A graph optimised differently is a different
# program: verify at one level and serve at another proves nothing.
OPTIMIZATION: Literal["all", "extended", "basic", "disabled"] = "all"

_LEVELS = {
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

# Fusions of ONNX Runtime that its CPU provider runs slower than what they replace. Its SkipLayerNormalization sums up
# one number after the other: 2 to 7 times the time of Add and LayerNormalization (`python -m benchmarks.fusions`).
SLOWER_ON_CPU = ["SkipLayerNormFusion"]


class SessionOptions(NamedTuple):
    """How a graph is run: `threads` of one run (0: all this process may use), and where.

    `engine_cache` is a folder that keeps what TensorRT builds. `inputs` and `max_batch_size` (0: no batch axis, or not
    known) are the manifest's, for devices that run batches at fixed sizes: see `for_manifest`. `batch_sizes` are sizes
    that each get a session of their own there, ascending: see `inference.binding`.
    """

    threads: int = 0
    device: Device = "cpu"
    optimization: Literal["all", "extended", "basic", "disabled"] = OPTIMIZATION
    engine_cache: Path | None = None
    inputs: tuple[TensorSpec, ...] = ()
    max_batch_size: int = 0
    batch_sizes: tuple[int, ...] = ()

    def for_manifest(self, manifest: Manifest) -> "SessionOptions":
        """The same for a graph of this bundle."""
        return self._replace(inputs=manifest.inputs, max_batch_size=manifest.max_batch_size)


class OrtSession:
    """A loaded graph. `run` may be called from several threads at once."""

    def __init__(self, graph: bytes | Path, bundle: Path, options: SessionOptions = SessionOptions()) -> None:
        """Load `graph`; `bundle` is what an error names. `GraphInvalid` or `ProviderUnavailable`."""
        self.options = options
        wanted = check_device(options.device)
        built = {} if wanted != TENSORRT else tensorrt_options(
            graph, options.inputs, options.max_batch_size, options.engine_cache
        )  # fmt: skip
        source = str(graph) if isinstance(graph, Path) else graph
        sizes = () if wanted == CPU else options.batch_sizes
        try:
            sessions = {
                size: ort.InferenceSession(
                    source,
                    _ort_options(options),
                    providers=provider_list(wanted, built),
                    disabled_optimizers=SLOWER_ON_CPU if wanted == CPU else None,
                )
                for size in sizes or (0,)
            }
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            raise GraphInvalid(bundle, f"ONNX Runtime cannot load the graph: {error}") from error
        self._session = next(iter(sessions.values()))
        self.provider: str = self._session.get_providers()[0]
        # ONNX Runtime falls back by itself when a device fails to start: onnxruntime issue 17801.
        if options.device != "auto" and self.provider != wanted:
            raise ProviderUnavailable(options.device, self._session.get_providers())
        self.inputs = _specs(self._session.get_inputs(), bundle)
        self.outputs = _specs(self._session.get_outputs(), bundle)
        self._output_names = [spec.name for spec in self.outputs]
        self._bound = self._bind(bundle, sessions)

    def run(self, *parts: Tensors) -> dict[str, Array]:
        """Every output by name, for inputs by name. `InferenceFailed` says what ONNX Runtime said.

        Several `parts` are one batch, which only some sessions take: `run_together` knows.
        """
        try:
            return dict(zip(self._output_names, self.run_raw(*parts), strict=True))
        except BatonError:
            raise
        except Exception as error:
            raise InferenceFailed(str(error)) from error

    def run_together(
        self, parts: Sequence[Tensors], collate: Callable[[Sequence[Tensors]], Tensors]
    ) -> Tensors:
        """One batch of the rows of several callers; `collate` makes it unless a device's buffer takes them as they are.

        Rows of one shape are only put one behind the other, whatever the processor.
        """
        laid = self._bound is not None and self._bound.batches and _alike(parts)
        return self.run(*parts) if laid else self.run(collate(parts))

    def run_raw(self, *parts: Tensors) -> list[Array]:
        """The outputs in the graph's order, and ONNX Runtime's own exceptions: for loops that count microseconds."""
        if self._bound is not None:
            return self._bound.run(*parts)
        (tensors,) = parts
        try:
            outputs: list[Array] = self._session.run(None, tensors)
        except UnicodeError:
            return run_with_bytes(self._session, self._output_names, tensors)
        return outputs

    def shrink(self, tensors: Tensors) -> None:
        """Run once more, and give back the memory that bigger batches than this one have needed.

        The arena grows with the shapes that it has seen and never shrinks by itself: triton
        onnxruntime_backend issue 102.
        """
        if self.provider == CPU and self._bound is None:
            options = ort.RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            self._session.run(None, tensors, options)

    def _bind(self, bundle: Path, sessions: Mapping[int, ort.InferenceSession]) -> BoundRuns | None:
        """Runs by I/O binding where a device or a datatype asks for them; else None, which is the shorter way."""
        specs = (*self.inputs, *self.outputs)
        bits = any(spec.datatype is DataType.BF16 for spec in specs)
        if any(spec.datatype is DataType.BYTES for spec in specs):  # which ONNX Runtime cannot bind
            if bits:
                raise GraphInvalid(bundle, "got BF16 and strings in one graph, wanted one of them")
            return None
        if self.provider == CPU:
            return BoundRuns(sessions, self.inputs, self.outputs) if bits else None
        return BoundRuns(sessions, self.inputs, self.outputs, self.options.max_batch_size)


def _alike(parts: Sequence[Tensors]) -> bool:
    """Whether they differ in nothing but their rows."""
    first, *others = ({name: array.shape[1:] for name, array in part.items()} for part in parts)
    return all(other == first for other in others)


def _ort_options(options: SessionOptions) -> ort.SessionOptions:
    made = ort.SessionOptions()
    made.graph_optimization_level = _LEVELS[options.optimization]
    made.intra_op_num_threads = options.threads or available_cpus()
    made.inter_op_num_threads = 1
    made.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # Threads that spin between runs take the CPU from everything else: roboflow/rf-detr issue 1456.
    made.add_session_config_entry("session.intra_op.allow_spinning", "0")
    made.log_severity_level = 3  # errors reach the caller as exceptions
    return made


def _specs(arguments: Sequence[Any], bundle: Path) -> tuple[TensorSpec, ...]:
    return tuple(_spec(argument, bundle) for argument in arguments)


def _spec(argument: Any, bundle: Path) -> TensorSpec:
    try:
        datatype = DataType.from_onnx(argument.type)
    except KeyError:
        wanted = "a tensor of a type that the Open Inference Protocol has"
        raise GraphInvalid(bundle, f"{argument.name}: got {argument.type}, wanted {wanted}") from None
    # ONNX Runtime gives a symbolic axis as its name and an unknown one as None.
    shape = tuple(axis if isinstance(axis, int) else -1 for axis in argument.shape)
    return TensorSpec(name=argument.name, datatype=datatype, shape=shape)
