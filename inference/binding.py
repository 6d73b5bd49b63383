"""Runs by I/O binding: over buffers that are kept, at a few fixed batch sizes, for what NumPy has no type for.

A device that is not the CPU copies from page-locked memory at twice the speed, searches its kernels anew for every
new shape, and pays for every allocation. So a batch is laid into the buffers of the next bigger bucket, a power of
two, and its answer is cut out of what comes back. BF16, which `InferenceSession.run` refuses, is bound by its bits.
"""

import ctypes
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import onnxruntime as ort

from inference.manifest import TensorSpec
from inference.values import Array, DataType, Tensors

MAX_IDLE = 64
"""Sets of buffers that are kept for later: enough for every bucket of a few row shapes, with a few runs at once."""

_BFLOAT16 = 16  # in ONNX's TensorProto.DataType

Shapes = tuple[tuple[int, ...], ...]
"""One shape an input, in the graph's order."""


def bucket_of(rows: int, limit: int) -> int:
    """The rows that a batch of `rows` is run as: the next power of two, at most `limit`; as it is where none fits."""
    return rows if rows >= limit else min(1 << (rows - 1).bit_length(), limit)


class BoundRuns:
    """Runs of one session. `run` may be called from several threads at once: each has buffers of its own."""

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        max_batch_size: int = 0,
    ) -> None:
        """`max_batch_size`: rows of the biggest bucket; 0 runs every shape as it comes."""
        self._session, self._inputs, self._outputs = session, inputs, outputs
        self._max_batch_size = max_batch_size
        self._idle: dict[Shapes, list[_Binding]] = {}
        self._lock = Lock()

    def run(self, tensors: Tensors) -> list[Array]:
        """The outputs in the graph's order, in memory of their own; ONNX Runtime's own exceptions."""
        arrays = [tensors[spec.name] for spec in self._inputs]
        rows = len(arrays[0]) if self._max_batch_size else 0
        bucket = bucket_of(rows, self._max_batch_size)
        shapes = tuple((bucket, *array.shape[1:]) if rows else array.shape for array in arrays)
        binding = self._take(shapes)
        outputs = binding.run(arrays, rows)
        self._give_back(shapes, binding)
        return outputs

    def _take(self, shapes: Shapes) -> "_Binding":
        with self._lock:
            idle = self._idle.get(shapes)
            if idle:
                return idle.pop()
        return _Binding(self._session, self._inputs, self._outputs, shapes, batched=self._max_batch_size > 0)

    def _give_back(self, shapes: Shapes, binding: "_Binding") -> None:
        with self._lock:
            kept = self._idle.pop(shapes, [])
            self._idle[shapes] = [*kept, binding]  # at the end: the shape that was used last goes last
            while sum(map(len, self._idle.values())) > MAX_IDLE:
                del self._idle[next(iter(self._idle))]


class _Binding:
    """The buffers of one run at a time, bound to a session."""

    def __init__(
        self,
        session: ort.InferenceSession,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        shapes: Shapes,
        *,
        batched: bool,
    ) -> None:
        self._session, self._outputs = session, outputs
        self._bound = session.io_binding()
        allocate = np.empty if session.get_providers()[0] == "CPUExecutionProvider" else _page_locked
        self._buffers: list[Array] = []
        self._fixed: dict[str, Array] = {}
        for spec, shape in zip(inputs, shapes, strict=True):
            self._buffers.append(allocate(shape, spec.datatype.dtype))
            self._bound.bind_ortvalue_input(spec.name, _value(self._buffers[-1], spec.datatype))
        for spec in outputs:
            shape = (shapes[0][0], *spec.shape[1:]) if batched else spec.shape
            if -1 not in shape:
                self._fixed[spec.name] = allocate(shape, spec.datatype.dtype)
                self._bound.bind_ortvalue_output(spec.name, _value(self._fixed[spec.name], spec.datatype))

    def run(self, arrays: Sequence[Array], rows: int) -> list[Array]:
        """Copy in, run, copy out the first `rows` rows; 0: everything."""
        for buffer, array in zip(self._buffers, arrays, strict=True):
            if rows:
                buffer[:rows] = array
                buffer[rows:] = array[:1]  # a row that is valid, where zeros need not be
            else:
                buffer[...] = array
        for spec in self._outputs:
            if spec.name not in self._fixed:
                # ONNX Runtime allocates it when it knows its shape; what the last run gave is not to be written over.
                self._bound.bind_output(spec.name)
        self._session.run_with_iobinding(self._bound)
        self._bound.synchronize_outputs()
        values = self._bound.get_outputs()
        whole = [self._read(spec, value) for spec, value in zip(self._outputs, values, strict=True)]
        return [array[:rows].copy() if rows else array.copy() for array in whole]

    def _read(self, spec: TensorSpec, value: ort.OrtValue) -> Array:
        """The memory of an output itself, which the next run writes over."""
        fixed = self._fixed.get(spec.name)
        if fixed is not None:
            return fixed
        if spec.datatype is not DataType.BF16:
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


def _page_locked(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """An array that a CUDA device may read and write by itself, as soon as CUDA is loaded."""
    buffer: Array = np.empty(shape, dtype)
    runtime = _cuda_runtime()
    if runtime is not None and buffer.nbytes:
        address = ctypes.c_void_p(buffer.ctypes.data)
        # Where the system refuses (a limit on locked memory), copying is slower and as right.
        if runtime.cudaHostRegister(address, ctypes.c_size_t(buffer.nbytes), 0) == 0:
            weakref.finalize(buffer, runtime.cudaHostUnregister, address)
    return buffer


@cache
def _cuda_runtime() -> Any:
    """The CUDA runtime that ONNX Runtime's provider has brought into this process; None without one."""
    maps = Path("/proc/self/maps")
    mapped = maps.read_text() if maps.exists() else ""
    found = {line.split()[-1] for line in mapped.splitlines() if "/libcudart.so" in line}
    return ctypes.CDLL(found.pop()) if found else None
