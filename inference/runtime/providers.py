"""Where a graph runs: ONNX Runtime's execution providers, chosen strictly, and the options that each is given."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from inference.errors import ProviderUnavailable
from inference.manifest import TensorSpec
from inference.options import Device

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA, "tensorrt": TENSORRT}

_CUDA_OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    # The exhaustive search runs again for every new shape: PaddlePaddle/PaddleX issue 5057.
    "cudnn_conv_algo_search": "HEURISTIC",
    # TensorFloat-32 keeps 10 bits of a product's factors: further off than a bundle's proof allows.
    "use_tf32": "0",
}


def available_providers() -> list[str]:
    """The execution providers that this build of ONNX Runtime holds."""
    names: list[str] = ort.get_available_providers()
    return names


def check_device(device: Device) -> str:
    """The provider that `device` stands for here; `ProviderUnavailable` where this build does not hold it."""
    held = available_providers()
    if device == "auto":
        return CUDA if CUDA in held else CPU
    if PROVIDERS[device] not in held:
        raise ProviderUnavailable(device, held)
    return PROVIDERS[device]


def provider_list(first: str, tensorrt_options: dict[str, Any]) -> list[Any]:
    """A session's providers: `first`, and behind it those that take the nodes that it cannot run."""
    if first == CPU:
        return [CPU]
    if first == TENSORRT:
        # It has no option for TensorFloat-32; the libraries read this when they are loaded.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
    # CUDA and cuDNN may lie in wheels of their own, where the loader does not look.
    ort.preload_dlls()
    listed: list[Any] = [(CUDA, _CUDA_OPTIONS), CPU]
    return [(TENSORRT, tensorrt_options), *listed] if first == TENSORRT else listed


def tensorrt_options(
    graph: bytes | Path, inputs: Sequence[TensorSpec], max_batch_size: int, cache: Path | None
) -> dict[str, Any]:
    """TensorRT's options: engines for every batch up to the biggest at once, kept in `cache` if there is one.

    An engine takes minutes to build. Its name in the cache says nothing of the graph's weights: a model trained again
    would get the old one's (LeelaChessZero/lc0 pull request 2214). So each graph has a folder of its own.
    """
    options: dict[str, Any] = {**_profile_shapes(inputs, max_batch_size)}
    if cache is not None:
        folder = cache / hashlib.sha256(graph if isinstance(graph, bytes) else graph.read_bytes()).hexdigest()
        folder.mkdir(parents=True, exist_ok=True)
        options |= {
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(folder),
            # How long single kernels take holds for every graph.
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": str(cache),
        }
    return options


def _profile_shapes(inputs: Sequence[TensorSpec], max_batch_size: int) -> dict[str, str]:
    """One engine for all batches, where nothing but the batch varies; else TensorRT builds one as shapes come."""
    tails = [spec.shape[1:] for spec in inputs]
    odd = any(mark in spec.name for spec in inputs for mark in ":,")  # the list's own marks
    if not max_batch_size or odd or any(-1 in tail for tail in tails):
        return {}

    def listed(rows: int) -> str:
        return ",".join(
            f"{spec.name}:{'x'.join(map(str, (rows, *tail)))}"
            for spec, tail in zip(inputs, tails, strict=True)
        )

    most = listed(max_batch_size)
    return {
        "trt_profile_min_shapes": listed(1),
        "trt_profile_opt_shapes": most,
        "trt_profile_max_shapes": most,
    }
