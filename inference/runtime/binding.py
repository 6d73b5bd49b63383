"""Runs by I/O binding: over buffers that are kept, at a few fixed batch sizes, for datatypes that NumPy does not have.

A device that is not the CPU copies from pinned (page-locked) memory by itself, and pinning takes time. It also prepares
its kernels anew for every new shape. So a batch is copied into kept buffers, as big as the next bucket, and the outputs
are cut to its rows. The rows of several requests are copied there at once, without a collated copy before.

Buckets are powers of two, or a few sizes that each have a session of their own. cuDNN prepares its convolutions for the
latest shape only: a session whose batches change in size prepares all of them again for every run. BF16, which
`InferenceSession.run` refuses, is bound by its bits.
"""

import ctypes
import mmap
import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime as ort

from inference.errors import RowsChanged
from inference.manifest import TensorSpec
from inference.values import Array, DataType, Tensors

MAX_IDLE = 64
"""Buffers that are kept for later: a few sizes of input and output, with a few runs at once."""

_LEAST_BYTES = 4096  # of a buffer: a page
_BFLOAT16 = 16  # in ONNX's TensorProto.DataType


def bucket_of(rows: int, limit: int) -> int:
    """The rows that a batch of `rows` is run as: the next power of two, at most `limit`; as it is where none fits."""
    return rows if rows >= limit else min(1 << (rows - 1).bit_length(), limit)


def size_of(rows: int, sizes: Sequence[int]) -> int:
    """The first of the ascending `sizes` that `rows` rows fit; the last where none does."""
    return next((size for size in sizes if rows <= size), sizes[-1])


class BoundRuns:
    """Runs of one graph. `run` may be called from several threads at once: each has buffers of its own."""

    def __init__(
        self,
        sessions: Mapping[int, ort.InferenceSession],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        max_batch_size: int = 0,
    ) -> None:
        """`sessions`: of the same graph, by the rows that each is kept for in ascending order; {0: …}: one for all.

        `max_batch_size`: rows of the biggest bucket; 0 runs every shape as it comes.
        """
        self._sessions, self._inputs, self._outputs = dict(sessions), inputs, outputs
        self._sizes = tuple(sessions)
        self._max_batch_size = max_batch_size
        provider = next(iter(sessions.values())).get_providers()[0]
        self._pool = BufferPool(pinned=provider != "CPUExecutionProvider")

    @property
    def batches(self) -> bool:
        """Whether several parts may be one batch."""
        return self._max_batch_size > 0

    def run(self, *parts: Tensors) -> list[Array]:
        """The outputs in the graph's order, in memory of their own; ONNX Runtime's own exceptions.

        Several `parts`, alike but for their rows, are one batch: laid side by side where the device copies from.
        """
        arrays = [[part[spec.name] for part in parts] for spec in self._inputs]
        rows = sum(map(len, arrays[0])) if self._max_batch_size else 0
        session, bucket = self._for(rows)
        taken: list[Array] = []

        def take(shape: Sequence[int], datatype: DataType) -> Array:
            size = prod(shape) * datatype.dtype.itemsize
            taken.append(self._pool.take(size))
            return taken[-1][:size].view(datatype.dtype).reshape(shape)

        try:
            bound = session.io_binding()
            for spec, several in zip(self._inputs, arrays, strict=True):
                shape = several[0].shape
                buffer = take((bucket, *shape[1:]) if rows else shape, spec.datatype)
                _lay(several, buffer, rows)
                bound.bind_ortvalue_input(spec.name, _value(buffer, spec.datatype))
            fixed: dict[str, Array] = {}
            for spec in self._outputs:
                shape = (bucket, *spec.shape[1:]) if rows else spec.shape
                if -1 in shape:
                    bound.bind_output(spec.name)  # ONNX Runtime allocates it when it knows its shape
                else:
                    fixed[spec.name] = take(shape, spec.datatype)
                    bound.bind_ortvalue_output(spec.name, _value(fixed[spec.name], spec.datatype))
            session.run_with_iobinding(bound)
            # A device copies its outputs after the call has returned: they are read only when that is done.
            bound.synchronize_outputs()
            values = bound.get_outputs()
            whole = [
                fixed[spec.name] if spec.name in fixed else _read(value, spec.datatype)
                for spec, value in zip(self._outputs, values, strict=True)
            ]
            for spec, array in zip(self._outputs, whole, strict=True):
                if rows and array.shape[:1] != (bucket,):  # cut to `rows`, it would look right
                    raise RowsChanged(spec.name, array.shape, bucket)
            return [array[:rows].copy() if rows else array.copy() for array in whole]
        finally:
            self._pool.give_back(taken)

    def _for(self, rows: int) -> tuple[ort.InferenceSession, int]:
        """The session of a batch, and the rows that it is run as."""
        if 0 in self._sessions:
            return self._sessions[0], bucket_of(rows, self._max_batch_size)
        size = size_of(rows, self._sizes)
        return self._sessions[size], max(size, rows)


class BufferPool:
    """Memory for one run at a time, in sizes that are powers of two, so that any shape finds some that was used."""

    def __init__(self, *, pinned: bool) -> None:
        self._allocate = _pinned if pinned else partial(np.empty, dtype=np.uint8)
        self._idle: dict[int, list[Array]] = {}
        self._lock = Lock()

    def take(self, size: int) -> Array:
        """At least `size` bytes, uint8."""
        kept = max(_LEAST_BYTES, 1 << max(0, size - 1).bit_length())
        with self._lock:
            idle = self._idle.get(kept)
            if idle:
                return idle.pop()
        return self._allocate(kept)

    def give_back(self, buffers: Iterable[Array]) -> None:
        """Keep them for the next run; of too many, those of the size that was used longest ago go."""
        with self._lock:
            for buffer in buffers:
                self._idle[buffer.nbytes] = [*self._idle.pop(buffer.nbytes, ()), buffer]
            while sum(map(len, self._idle.values())) > MAX_IDLE:
                del self._idle[next(iter(self._idle))]


def _lay(arrays: Sequence[Array], buffer: Array, rows: int) -> None:
    """Copy into a buffer; behind the `rows` rows of a batch comes the first again, valid where zeros need not be."""
    if rows:
        np.concatenate(arrays, out=buffer[:rows])
        buffer[rows:] = arrays[0][:1]
    else:
        buffer[...] = arrays[0]


def _read(value: ort.OrtValue, datatype: DataType) -> Array:
    """The memory of a tensor of ONNX Runtime's, which lives as long as that."""
    if datatype is not DataType.BF16:
        array: Array = value.numpy()
        return array
    size = value.tensor_size_in_bytes()
    bits = (ctypes.c_uint8 * size).from_address(value.data_ptr()) if size else b""
    return np.frombuffer(bits, np.uint16).reshape(value.shape())


def _value(buffer: Array, datatype: DataType) -> ort.OrtValue:
    """A tensor of ONNX Runtime's over the memory of an array."""
    if datatype is DataType.BF16:
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(buffer, _BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(buffer)


def _pinned(size: int) -> Array:
    """Bytes that a CUDA device may read and write by itself, as soon as CUDA is loaded.

    Whole pages of its own: CUDA refuses to copy from a buffer that begins on a pinned page and ends on one that is not
    (cudaErrorInvalidValue).
    """
    buffer: Array = np.frombuffer(mmap.mmap(-1, size), np.uint8)
    runtime = _cuda_runtime()
    if runtime is not None:
        address = ctypes.c_void_p(buffer.ctypes.data)
        # Where the system refuses (a limit on locked memory), copying is slower and as right.
        if _accepts(runtime, "cudaHostRegister", address, ctypes.c_size_t(buffer.nbytes), 0):
            weakref.finalize(buffer, _accepts, runtime, "cudaHostUnregister", address)
    return buffer


def _accepts(runtime: Any, function: str, *arguments: Any) -> bool:
    """Whether a call of the CUDA runtime succeeds; its error is taken back otherwise.

    ONNX Runtime asks behind each kernel for the last error of its thread, and would answer a request with that.
    """
    accepted: bool = getattr(runtime, function)(*arguments) == 0
    if not accepted:
        runtime.cudaGetLastError()
    return accepted


def _cuda_runtime() -> Any:
    """The CUDA runtime that ONNX Runtime's provider has brought into this process; None without one."""
    maps = Path("/proc/self/maps")
    mapped = maps.read_text() if maps.exists() else ""
    found = {line.split()[-1] for line in mapped.splitlines() if "/libcudart.so" in line}
    return ctypes.CDLL(found.pop()) if found else None
