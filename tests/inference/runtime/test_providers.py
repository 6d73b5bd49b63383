"""Where graphs run: what is asked for and not there is a failure, and each provider gets its options."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from inference.errors import ProviderUnavailable
from inference.manifest import TensorSpec
from inference.options import Device
from inference.runtime import providers
from inference.runtime.providers import CPU, CUDA, TENSORRT, check_device, provider_list, tensorrt_options
from inference.runtime.session import OrtSession, SessionOptions
from inference.values import DataType
from tests.bundles import graph_bytes, sum_graph
from tests.devices import without_cuda

HERE = Path("models/sum/1")
IMAGE = TensorSpec(name="image", datatype=DataType.UINT8, shape=(-1, 3, 8, 8))
FLAG = TensorSpec(name="flag", datatype=DataType.BOOL, shape=(-1,))
TEXT = TensorSpec(name="ids", datatype=DataType.INT64, shape=(-1, -1))


def holding(monkeypatch: pytest.MonkeyPatch, *held: str) -> None:
    """Pretend that this build of ONNX Runtime holds these."""
    monkeypatch.setattr(providers, "available_providers", lambda: list(held))


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_this_build_does_not_hold_is_a_failure_and_not_a_fall_back(
    monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    holding(monkeypatch, CPU)
    with pytest.raises(ProviderUnavailable, match=f"got '{device}'.*{CPU}"):
        OrtSession(sum_graph(), HERE, SessionOptions(device=device))


@without_cuda
@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_ONNX_Runtime_silently_leaves_out_is_a_failure_too(  # noqa: N802
    monkeypatch: pytest.MonkeyPatch, device: Device
) -> None:
    holding(monkeypatch, TENSORRT, CUDA, CPU)
    with pytest.raises(ProviderUnavailable, match=f"got '{device}'"):
        OrtSession(sum_graph(), HERE, SessionOptions(device=device))


def test_auto_takes_CUDA_where_it_is_held_and_else_the_CPU(monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    holding(monkeypatch, TENSORRT, CUDA, CPU)
    assert check_device("auto") == CUDA
    holding(monkeypatch, CPU)
    assert check_device("auto") == CPU
    assert OrtSession(sum_graph(), HERE, SessionOptions(device="auto")).provider == CPU


@without_cuda
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_auto_runs_on_the_CPU_where_CUDA_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    holding(monkeypatch, CUDA, CPU)
    assert OrtSession(sum_graph(), HERE, SessionOptions(device="auto")).provider == CPU


def test_what_a_provider_cannot_run_goes_to_the_next() -> None:
    def names(first: str) -> list[str]:
        return [listed if isinstance(listed, str) else listed[0] for listed in provider_list(first, {})]

    assert names(CPU) == [CPU]
    assert names(CUDA) == [CUDA, CPU]
    assert names(TENSORRT) == [TENSORRT, CUDA, CPU]


def test_kernels_are_not_searched_exhaustively_for_every_shape() -> None:
    assert provider_list(CUDA, {})[0][1]["cudnn_conv_algo_search"] == "HEURISTIC"


def test_no_GPU_rounds_to_TensorFloat_32(monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "1")
    provider_list(TENSORRT, {})
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "1", "an operator may want it"
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")
    assert provider_list(CUDA, {})[0][1]["use_tf32"] == "0"
    assert "NVIDIA_TF32_OVERRIDE" not in os.environ
    provider_list(TENSORRT, {})
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"


def test_one_engine_serves_every_batch() -> None:
    told = tensorrt_options(b"", [IMAGE, FLAG], 32, None)
    assert told == {
        "trt_profile_min_shapes": "image:1x3x8x8,flag:1",
        "trt_profile_opt_shapes": "image:32x3x8x8,flag:32",
        "trt_profile_max_shapes": "image:32x3x8x8,flag:32",
    }


@pytest.mark.parametrize(
    ("inputs", "batch"),
    [
        ([TEXT], 32),
        ([IMAGE], 0),
        ([IMAGE.model_copy(update={"name": "a:b"})], 32),
        ([], 0),
    ],
    ids=["two axes", "no batch axis", "a name that the list cannot hold", "no manifest"],
)
def test_shapes_that_cannot_be_listed_are_left_to_TensorRT(inputs: list[TensorSpec], batch: int) -> None:  # noqa: N802
    assert tensorrt_options(b"", inputs, batch, None) == {}


def test_engines_of_other_weights_are_not_taken_for_this_graphs(tmp_path: Path) -> None:
    (tmp_path / "graph.onnx").write_bytes(b"weights 1")
    first = tensorrt_options(b"weights 1", [TEXT], 8, tmp_path / "cache")
    again = tensorrt_options(tmp_path / "graph.onnx", [TEXT], 8, tmp_path / "cache")
    other = tensorrt_options(b"weights 2", [TEXT], 8, tmp_path / "cache")
    assert first["trt_engine_cache_enable"]
    assert Path(first["trt_engine_cache_path"]).is_dir()
    assert first == again
    assert first["trt_engine_cache_path"] != other["trt_engine_cache_path"]
    assert first["trt_timing_cache_path"] == other["trt_timing_cache_path"]


def test_a_fusion_that_is_slower_on_a_CPU_is_left_out_there(  # noqa: N802
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real, kept = ort.InferenceSession, tmp_path / "optimised.onnx"

    def saving(graph: bytes, options: ort.SessionOptions, **rest: Any) -> ort.InferenceSession:
        options.optimized_model_filepath = str(kept)
        return real(graph, options, **rest)

    monkeypatch.setattr(ort, "InferenceSession", saving)
    shape: list[str | int] = ["batch", 2, 3]
    nodes = [
        helper.make_node("Add", ["x", "y"], ["sum"]),
        helper.make_node("LayerNormalization", ["sum", "scale", "bias"], ["normal"], axis=-1),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "y")]
    found = [helper.make_tensor_value_info("normal", TensorProto.FLOAT, shape)]
    ones = np.ones(3, np.float32)
    OrtSession(graph_bytes(nodes, given, found, {"scale": ones, "bias": ones}), HERE)
    assert [node.op_type for node in onnx.load(kept).graph.node] == ["Add", "LayerNormalization"]
