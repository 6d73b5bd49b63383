"""One ONNX Runtime session, with every choice that matters made explicitly."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import onnxruntime as ort

from inference.errors import BatonError, GraphInvalid, InferenceFailed, ProviderUnavailable
from inference.manifest import Manifest, TensorSpec
from inference.options import Device
from inference.runtime.binding import BoundRuns
from inference.runtime.machine import available_cpus
from inference.runtime.many_strings import has_many, run_in_pieces
from inference.runtime.messages import in_words
from inference.runtime.providers import CPU, TENSORRT, check_device, provider_list, tensorrt_options
from inference.runtime.signature import ZIPPED, specs_of, unzip
from inference.runtime.strings import run_with_bytes
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

# Fusions of ONNX Runtime that its CPU provider runs slower than the nodes that they replace. Its
# SkipLayerNormalization sums up one number after the other: 2 to 7 times the time of Add and LayerNormalization
# (`python -m benchmarks.fusions`).
SLOWER_ON_CPU = ["SkipLayerNormFusion"]


# Elements of a row over which a graph whose shapes vary gives memory back behind the run. They are an image of 836x836
# in three colours, or as many tokens as make attention's table 16 MB a head. Shrinking costs a run the memory that the
# next has to ask the system for again: 10 to 20 % of a small convolution's.
_BIG_ELEMENTS = 1 << 21
_BIG_TOKENS = 2048
_USUAL_BYTES = 1 << 20  # of the rows that are kept to run once more behind a big run


def _run_options(**entries: str) -> ort.RunOptions:
    options = ort.RunOptions()
    for key, value in entries.items():
        options.add_run_config_entry(key, value)
    return options


_SHRINKING = _run_options(**{"memory.enable_memory_arena_shrinkage": "cpu:0"})
_QUIET = _run_options()
_QUIET.log_severity_level = 4


class SessionOptions(NamedTuple):
    """How a graph is run: `threads` of one run (0: all this process may use), and where.

    `engine_cache` is a folder that keeps TensorRT's engines. `inputs` and `max_batch_size` (0: no batch axis, or not
    known) are the manifest's, for devices that run batches at fixed sizes: see `for_manifest`. `batch_sizes` are sizes
    that each get a session of their own there, ascending: see `inference.runtime.binding`.
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


class Runs(Protocol):
    """Anything that runs a batch: a session, or a puppet in a test."""

    def run(self, tensors: Tensors) -> Tensors:
        """Outputs by name."""
        ...


class OrtSession:
    """A loaded graph. `run` may be called from several threads at once."""

    def __init__(self, graph: bytes | Path, bundle: Path, options: SessionOptions = SessionOptions()) -> None:
        """Load `graph`; an error names `bundle`. `GraphInvalid` or `ProviderUnavailable`."""
        self.options = options
        expected = check_device(options.device)
        built = {} if expected != TENSORRT else tensorrt_options(
            graph, options.inputs, options.max_batch_size, options.engine_cache
        )  # fmt: skip
        source = str(graph) if isinstance(graph, Path) else graph
        sizes = () if expected == CPU else options.batch_sizes
        try:
            sessions = {
                size: ort.InferenceSession(
                    source,
                    _ort_options(options),
                    providers=provider_list(expected, built),
                    disabled_optimizers=SLOWER_ON_CPU if expected == CPU else None,
                )
                for size in sizes or (0,)
            }
        except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
            raise GraphInvalid(
                bundle, f"ONNX Runtime cannot load the graph: {in_words(str(error))}"
            ) from error
        self._session = next(iter(sessions.values()))
        self.provider: str = self._session.get_providers()[0]
        # ONNX Runtime falls back by itself when a device fails to start: onnxruntime issue 17801.
        if options.device != "auto" and self.provider != expected:
            raise ProviderUnavailable(options.device, self._session.get_providers())
        self.inputs = specs_of(self._session.get_inputs(), bundle)
        self.outputs = specs_of(self._session.get_outputs(), bundle)
        self.axes: dict[str, tuple[int | str | None, ...]] = {
            argument.name: tuple(argument.shape) for argument in self._session.get_inputs()
        }
        """Input shapes with the names that the graph gives to dynamic axes; None for one without a name."""
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        """The exporter's own entries in the file."""
        self._output_names = [spec.name for spec in self.outputs]
        self._zipped = tuple(
            place for place, each in enumerate(self._session.get_outputs()) if ZIPPED.fullmatch(each.type)
        )
        strings = any(spec.datatype is DataType.BYTES for spec in self.inputs)
        # Outputs that are no tensors, as scikit-learn's maps, are read by `session.run` alone.
        self._takes_pieces = strings and self.provider == CPU and not self._zipped
        self._bound = self._bind(bundle, sessions)
        # Only where shapes vary can one request leave much more behind than others need.
        self._big = {} if self._bound is not None or self.provider != CPU else _big_over(self.inputs)
        self._usual: Tensors | None = None
        self._left_behind = False

    def run(self, *parts: Tensors, in_pieces: bool = False) -> dict[str, Array]:
        """Every output by name, for inputs by name. `InferenceFailed` has ONNX Runtime's message.

        Several `parts` are one batch, which only some sessions take: `run_together` knows. `in_pieces` is for a thread:
        many strings take four times as long, and keep no other thread waiting.
        """
        # One function on purpose: as three it took 0.3 µs more, where a small graph takes 8.
        try:
            if self._bound is not None:
                outputs = self._bound.run(*parts)
            else:
                (tensors,) = parts
                options = _SHRINKING if self._big and self._leaves_much(tensors) else None
                try:
                    if in_pieces and self._takes_pieces and has_many(tensors):
                        outputs = run_in_pieces(self._session, self._output_names, tensors, options)
                    else:
                        outputs = self._session.run(None, tensors, options)
                except UnicodeError:
                    outputs = run_with_bytes(self._session, self._output_names, tensors)
                for index in self._zipped:
                    rows: Any = outputs[index]
                    outputs[index] = unzip(rows, self.outputs[index].datatype)
            return dict(zip(self._output_names, outputs, strict=True))
        except BatonError:
            raise
        except Exception as error:
            raise InferenceFailed(str(error)) from error

    def run_together(
        self,
        parts: Sequence[Tensors],
        collate: Callable[[Sequence[Tensors]], Tensors],
        *,
        in_pieces: bool = False,
    ) -> Tensors:
        """One batch of several requests; `collate` makes it, unless a device's buffers take the parts as they are.

        Rows of one shape are only put one behind the other, whatever the processor. `in_pieces` is `run`'s.
        """
        if len(parts) == 1 or (self._bound is not None and self._bound.batches and _alike(parts)):
            return self.run(*parts, in_pieces=in_pieces)
        return self.run(collate(parts), in_pieces=in_pieces)

    def give_back(self) -> None:
        """Give back what the outputs of a big run have left, once they are gone; a run of usual rows, if there is one.

        The run itself cannot: its outputs lie in the arena until they are encoded.
        """
        if self._left_behind and self._usual is not None:
            self._left_behind = False
            self._session.run(None, self._usual, _SHRINKING)

    def _leaves_much(self, tensors: Tensors) -> bool:
        """Whether a run needs much more memory than is worth keeping for the next.

        The arena grows with the shapes of its runs and never shrinks by itself (triton onnxruntime_backend issue 102).
        One image of 2000x2000 left 600 MB behind in a detector that mostly gets small ones.
        """
        if any(tensors[name].size > most * len(tensors[name]) for name, most in self._big.items()):
            self._left_behind = True
            return True
        if self._usual is None and sum(array.nbytes for array in tensors.values()) <= _USUAL_BYTES:
            self._usual = {name: array.copy() for name, array in tensors.items()}
        return False

    def attempt(self, tensors: Tensors) -> None:
        """`run` of tensors that the graph may well refuse: `InferenceFailed`, and nothing in the log."""
        if self._bound is not None:
            self.run(tensors)
            return
        try:
            self._session.run(None, tensors, _QUIET)
        except Exception as error:
            raise InferenceFailed(str(error)) from error

    def shrink(self, tensors: Tensors) -> None:
        """Run once more, and give back the memory that bigger batches than this one have needed."""
        if self.provider == CPU and self._bound is None:
            self._session.run(None, tensors, _SHRINKING)

    def _bind(self, bundle: Path, sessions: Mapping[int, ort.InferenceSession]) -> BoundRuns | None:
        """Runs by I/O binding where a device or a datatype asks for them; else None, which is the shorter way."""
        specs = (*self.inputs, *self.outputs)
        bits = any(spec.datatype is DataType.BF16 for spec in specs)
        if any(spec.datatype is DataType.BYTES for spec in specs):  # which ONNX Runtime cannot bind
            if bits:
                raise GraphInvalid(bundle, "got BF16 and strings in one graph, expected one of them")
            return None
        if self.provider == CPU:
            return BoundRuns(sessions, self.inputs, self.outputs) if bits else None
        return BoundRuns(sessions, self.inputs, self.outputs, self.options.max_batch_size)


def _big_over(inputs: Sequence[TensorSpec]) -> dict[str, int]:
    """For each input whose rows vary in size, the elements of a row that are much."""
    varying = [spec for spec in inputs if spec.shape and -1 in spec.shape[1:]]
    tokens = (DataType.INT64, DataType.INT32)
    return {spec.name: _BIG_TOKENS if spec.datatype in tokens else _BIG_ELEMENTS for spec in varying}


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
    # Errors are raised as exceptions. At level 3 ONNX Runtime also writes a line to the log for every request that a
    # graph refuses, in colours, past the server's own format.
    made.log_severity_level = 4
    return made
