"""Graphs to measure with where no other model is given: seeded, made without torch.

They need onnx, which comes with `baton[training]`.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TINY = (64, 64, 10)
"""The widths of the peers' `tiny`."""
HEAVY = (64, *[1024] * 65, 10)
"""67 million multiplications a row, some milliseconds: so HTTP and the load generator are not the limit."""


class Builder:
    """A graph under construction, one node after the other; weights come from one seed."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, onnx.TensorProto] = {}
        self._generator = np.random.default_rng(7)

    def op(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        """Add a node; the name of its output."""
        name = to or f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, values: object, dtype: type = np.float32) -> str:
        """Add a weight of these values, once by its name."""
        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.asarray(values, dtype), name)
        return name

    def noise(self, name: str, *shape: int, scale: float) -> str:
        """Add a weight of normal noise, once by its name."""
        if name in self._weights:
            return name
        return self.constant(name, self._generator.standard_normal(shape) * scale)

    def write(self, models: Path, name: str, x: onnx.ValueInfoProto, y: Sequence[int | str]) -> None:
        """Save x → `y` as a bare model that Baton serves."""
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, list(y))]
        graph = helper.make_graph(self._nodes, name, [x], outputs, list(self._weights.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        folder = models / name / "1"
        folder.mkdir(parents=True)
        onnx.save(model, folder / "model.onnx")


def write_mlp(models: Path, name: str, widths: Sequence[int]) -> None:
    """A multi-layer perceptron x [batch, first] → y [batch, last]; layers of one shape share their weights."""
    builder, last = Builder(), "x"
    for place, (wide, narrow) in enumerate(pairwise(widths)):
        # He's scale: through many layers values neither vanish (denormal numbers are slow) nor grow.
        weight = builder.noise(f"w{wide}x{narrow}", wide, narrow, scale=(2 / wide) ** 0.5)
        bias = builder.constant(f"b{narrow}", np.zeros(narrow))
        if place == len(widths) - 2:
            builder.op("Gemm", last, weight, bias, to="y")
        else:
            last = builder.op("Relu", builder.op("Gemm", last, weight, bias))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", widths[0]])
    builder.write(models, name, x, ["batch", widths[-1]])


def write_strings(models: Path, name: str) -> None:
    """Strings x [batch, n] → y [batch, 1], zero: a graph that takes much and computes nothing."""
    builder = Builder()
    rows = builder.op(
        "Slice",
        builder.op("Shape", "x"),
        builder.constant("from", [0], np.int64),
        builder.constant("to", [1], np.int64),
    )
    ends = builder.op("Concat", rows, builder.constant("one", [1], np.int64), axis=0)
    builder.op("Expand", builder.constant("zero", [0.0]), ends, to="y")
    builder.write(
        models, name, helper.make_tensor_value_info("x", TensorProto.STRING, ["batch", "n"]), ["batch", 1]
    )


def write_text(
    models: Path, name: str = "text", *, layers: int = 4, width: int = 128, length: int = 64
) -> None:
    """The peers' `text`: a Transformer encoder of 4 heads, ids [batch, length] → y [batch, 4]."""
    builder, heads = Builder(), 4
    head = width // heads

    def linear(x: str, tag: str, wide: int, narrow: int, to: str = "") -> str:
        weight = builder.noise(f"{tag}.w", wide, narrow, scale=wide**-0.5)
        return builder.op(
            "Add", builder.op("MatMul", x, weight), builder.noise(f"{tag}.b", narrow, scale=0.02), to=to
        )

    def norm(x: str, tag: str) -> str:
        scale, bias = (
            builder.constant(f"{tag}.g", np.ones(width)),
            builder.constant(f"{tag}.c", np.zeros(width)),
        )
        return builder.op("LayerNormalization", x, scale, bias, axis=-1)

    def attention(x: str, tag: str) -> str:
        split = builder.constant("split", [0, 0, heads, head], np.int64)
        query, key, value = (
            builder.op(
                "Transpose",
                builder.op("Reshape", linear(x, f"{tag}.{part}", width, width), split),
                perm=[0, 2, 3, 1] if part == "k" else [0, 2, 1, 3],
            )
            for part in "qkv"
        )
        scores = builder.op("Mul", builder.op("MatMul", query, key), builder.constant("scale", head**-0.5))
        mixed = builder.op("MatMul", builder.op("Softmax", scores, axis=-1), value)
        merge = builder.constant("merge", [0, 0, width], np.int64)
        return builder.op("Reshape", builder.op("Transpose", mixed, perm=[0, 2, 1, 3]), merge)

    x = builder.op("Gather", builder.noise("emb", 8192, width, scale=1.0), "ids")
    x = norm(builder.op("Add", x, builder.noise("pos", 1, length, width, scale=0.3)), "n")
    for layer in range(layers):
        tag = f"l{layer}"
        x = norm(builder.op("Add", x, linear(attention(x, tag), f"{tag}.o", width, width)), f"{tag}.n1")
        wide = builder.op("Relu", linear(x, f"{tag}.f1", width, 4 * width))
        x = norm(builder.op("Add", x, linear(wide, f"{tag}.f2", 4 * width, width)), f"{tag}.n2")
    linear(builder.op("ReduceMean", x, axes=[1], keepdims=0), "y", width, 4, to="y")
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", length])
    builder.write(models, name, ids, ["batch", 4])


def write_resnet50(models: Path, name: str = "resnet50") -> None:
    """ResNet-50 with its normalisation folded into the convolutions, x [batch, 3, 224, 224] → y [batch, 1000]."""
    builder = Builder()

    def conv(x: str, tag: str, wide: int, narrow: int, size: int, stride: int = 1, gain: float = 2.0) -> str:
        weight = builder.noise(
            f"{tag}.w", narrow, wide, size, size, scale=(gain / (wide * size * size)) ** 0.5
        )
        pads, bias = [size // 2] * 4, builder.constant(f"{tag}.b", np.zeros(narrow))
        return builder.op("Conv", x, weight, bias, kernel_shape=[size] * 2, strides=[stride] * 2, pads=pads)

    def bottleneck(x: str, tag: str, wide: int, narrow: int, stride: int) -> str:
        inside = builder.op("Relu", conv(x, f"{tag}.1", wide, narrow, 1))
        inside = builder.op("Relu", conv(inside, f"{tag}.2", narrow, narrow, 3, stride))
        # A small gain at the end of each block keeps 16 sums from growing.
        inside = conv(inside, f"{tag}.3", narrow, 4 * narrow, 1, gain=0.1)
        if stride > 1 or wide != 4 * narrow:
            x = conv(x, f"{tag}.s", wide, 4 * narrow, 1, stride, gain=1.0)
        return builder.op("Relu", builder.op("Add", inside, x))

    x = builder.op("Relu", conv("x", "stem", 3, 64, 7, 2))
    x = builder.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    wide = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        narrow = 64 << stage
        for block in range(blocks):
            x = bottleneck(x, f"s{stage}b{block}", wide, narrow, 2 if stage and not block else 1)
            wide = 4 * narrow
    x = builder.op("Flatten", builder.op("GlobalAveragePool", x))
    builder.op(
        "Gemm",
        x,
        builder.noise("fc.w", wide, 1000, scale=wide**-0.5),
        builder.constant("fc.b", np.zeros(1000)),
        to="y",
    )
    pixels = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 224, 224])
    builder.write(models, name, pixels, ["batch", 1000])


def write_brightness(models: Path, name: str = "brightness") -> None:
    """x [batch, 3, 224, 224] → its mean by channel, y [batch, 3]: a run that costs less than bringing its input."""
    builder = Builder()
    builder.op("ReduceMean", "x", to="y", axes=[2, 3], keepdims=0)
    pixels = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 224, 224])
    builder.write(models, name, pixels, ["batch", 3])


WRITERS: dict[str, Callable[[Path], None]] = {
    "tiny": lambda models: write_mlp(models, "tiny", TINY),
    "text": write_text,
    "resnet50": write_resnet50,
}
"""The peers' three graphs by name."""
