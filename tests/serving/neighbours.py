"""Small graphs whose rows do not mind their company, and small graphs whose rows do.

Every one has inputs and outputs whose first axis is open, which is all that a graph says of a batch; what else there
is to know stands here. Most are written in ONNX's own text, so that what each does can be read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.random import Generator
from onnx import numpy_helper
from onnx.parser import parse_model

from inference.values import Array, Tensors

ROUNDING = 1e-5
"""Relative: rows of one matrix product are summed in another order where there are others beside them."""

HEADER = '<ir_version: 9, opset_import: ["" : 17, "ai.onnx.ml" : 3]>'


@dataclass(frozen=True)
class Case:
    """A graph and what to ask it.

    `ask` makes a request of so many rows. `minds`: what comes for a row depends on the rows beside it, so that only
    a run alone is right, to the bit. `random`: no two answers are alike, so that nothing but their form can be held.
    `placed`: ONNX Runtime's sum over all numbers depends, in its last bit, on whether they begin in memory at a
    multiple of 16 bytes. Those of an array do, and those in the middle of a request's body need not.
    """

    name: str
    text: str
    ask: Callable[[Generator, int], Tensors]
    minds: bool
    weights: Mapping[str, Array] = field(default_factory=dict)
    random: bool = False
    placed: bool = False

    @property
    def graph(self) -> bytes:
        """The checked graph, serialised."""
        model = parse_model(f"{HEADER} {self.name.replace('-', '_')} {self.text}")
        model.graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in self.weights.items()
        )
        onnx.checker.check_model(model)
        data: bytes = model.SerializeToString()
        return data


def rows_of(width: int, name: str = "x", scale: float = 1.0) -> Callable[[Generator, int], Tensors]:
    """Normal numbers, float32 [rows, width]."""
    return lambda rng, rows: {name: (scale * rng.normal(size=(rows, width))).astype(np.float32)}


def positive(width: int) -> Callable[[Generator, int], Tensors]:
    """Numbers between 0.1 and 1.1, whose sum nobody divides by in vain."""
    return lambda rng, rows: {"x": (rng.random((rows, width)) + 0.1).astype(np.float32)}


def uneven(width: int) -> Callable[[Generator, int], Tensors]:
    """Rows some of which are fifty times as large as others."""

    def made(rng: Generator, rows: int) -> Tensors:
        sizes = rng.choice([1.0, 50.0], (rows, 1))
        return {"x": (sizes * rng.normal(size=(rows, width))).astype(np.float32)}

    return made


def shaped(*axes: int) -> Callable[[Generator, int], Tensors]:
    """Normal numbers, float32 [rows, *axes]."""
    return lambda rng, rows: {"x": rng.normal(size=(rows, *axes)).astype(np.float32)}


def _weights(*shape: int) -> Array:
    return (np.random.default_rng(sum(shape)).normal(size=shape) / 2).astype(np.float32)


def spoilt(bad: float) -> Callable[[Generator, int], Tensors]:
    """Three normal numbers a row; now and then one of them is `bad`."""

    def made(rng: Generator, rows: int) -> Tensors:
        numbers = rng.normal(size=(rows, 3)).astype(np.float32)
        numbers[rng.random((rows, 3)) < 0.05] = bad
        return {"x": numbers}

    return made


def _samples(kind: type[np.generic], *factors: int, width: int = 3) -> Callable[[Generator, int], Tensors]:
    """Samples of a byte, times one of the factors."""
    return lambda rng, rows: {"x": (rng.integers(0, 256, (rows, width)) * rng.choice(factors)).astype(kind)}


def _boxes(rng: Generator, rows: int) -> Tensors:
    corners = rng.random((rows, 6, 2)).astype(np.float32)
    sizes = rng.random((rows, 6, 2)).astype(np.float32)
    scores = rng.random((rows, 1, 6)).astype(np.float32)
    return {"boxes": np.concatenate([corners, corners + sizes], axis=2), "scores": scores}


def _two_batches(rng: Generator, rows: int) -> Tensors:
    return {name: rng.normal(size=(rows, 4)).astype(np.float32) for name in ("a", "b")}


def _pictures_and_texts(rng: Generator, rows: int) -> Tensors:
    """As CLIP is asked: one image, and the texts that it may be."""
    return {
        "image": rng.normal(size=(1, 8)).astype(np.float32),
        "text": rng.normal(size=(rows + 1, 8)).astype(np.float32),
    }


def _table_and_ids(rng: Generator, rows: int) -> Tensors:
    return {"table": rng.normal(size=(5, 4)).astype(np.float32), "ids": rng.integers(0, 5, rows)}


def _nodes_and_edges(rng: Generator, rows: int) -> Tensors:
    return {
        "x": rng.normal(size=(rows + 2, 4)).astype(np.float32),
        "edges": rng.integers(0, rows + 2, (rows, 2)),
    }


def _words(rng: Generator, rows: int) -> Tensors:
    return {"x": rng.choice(np.array(["the", "cat", "of", "sat"], object), rows)}


def _ids(width: int, below: int = 10) -> Callable[[Generator, int], Tensors]:
    return lambda rng, rows: {"x": rng.integers(0, below, (rows, width))}


def _sentences(rng: Generator, rows: int) -> Tensors:
    lengths = rng.integers(1, 7, (rows, 1))
    return {"ids": rng.integers(0, 12, (rows, 6)), "mask": (np.arange(6) < lengths).astype(np.int64)}


def _minds(name: str, text: str, ask: Callable[[Generator, int], Tensors], **weights: Array) -> Case:
    return Case(name, text, ask, minds=True, weights=weights)


def _mixes_well(name: str, text: str, ask: Callable[[Generator, int], Tensors], **weights: Array) -> Case:
    return Case(name, text, ask, minds=False, weights=weights)


def _lstm(text: str, name: str, ask: Callable[[Generator, int], Tensors], *, minds: bool) -> Case:
    """An LSTM of 4 numbers a step and 5 cells, whichever axis is time."""
    weights = {"w": _weights(1, 20, 4), "r": _weights(1, 20, 5)}
    return Case(name, text, ask, minds=minds, weights=weights)


MIND = (
    # Number of rows: as many come out as the values say, not as many as went in.
    _minds("found", "(float[N,4] x) => (int64[K,2] y) <float half = {0.5}> "
           "{ m = Greater(x, half) nz = NonZero(m) y = Transpose<perm=[1,0]>(nz) }", rows_of(4)),
    _minds("suppression", "(float[N,6,4] boxes, float[N,1,6] scores) => (int64[K,3] y) "
           "<int64[1] most = {3}, float[1] iou = {0.5}, float[1] least = {0.2}> "
           "{ y = NonMaxSuppression(boxes, scores, most, iou, least) }", _boxes),
    _minds("suppressed-boxes", "(float[N,6,4] boxes, float[N,1,6] scores) => (float[K,4] y) "
           "<int64[1] most = {3}, float[1] iou = {0.5}, float[1] least = {0.2}, int64[2] where = {0, 2}> "
           "{ kept = NonMaxSuppression(boxes, scores, most, iou, least) at = Gather<axis=1>(kept, where) "
           "  y = GatherND(boxes, at) }", _boxes),
    _minds("unique", "(int64[N,2] x) => (int64[K,2] y) { y = Unique<axis=0>(x) }", _ids(2, below=3)),
    _minds("compressed", "(float[N,3] x) => (float[K,3] y) <float zero = {0}, int64[1] one = {1}> "
           "{ sum = ReduceSum<keepdims=0>(x, one) keep = Greater(sum, zero) y = Compress<axis=0>(x, keep) }",
           rows_of(3)),
    _minds("summary", "(float[N,2] x) => (float[M,2] y) { y = ReduceMean<axes=[0], keepdims=1>(x) }", rows_of(2)),
    _minds("first-sixteen", "(float[N,3] x) => (float[M,3] y) <int64[1] from = {0}, int64[1] to = {16}> "
           "{ y = Slice(x, from, to) }", rows_of(3)),
    _minds("padded", "(float[N,3] x) => (float[M,3] y) <int64[4] pads = {0, 0, 1, 0}> { y = Pad(x, pads) }",
           rows_of(3)),
    _minds("constant-row", "(float[N,3] x) => (float[M,3] y) <float[1,3] row = {7, 8, 9}> "
           "{ y = Concat<axis=0>(row, x) }", rows_of(3)),
    _minds("tiled", "(float[N,3] x) => (float[M,3] y) <int64[2] times = {2, 1}> { y = Tile(x, times) }", rows_of(3)),
    _minds("reshaped", "(float[N,6] x) => (float[M,3] y) <int64[2] shape = {-1, 3}> { y = Reshape(x, shape) }",
           rows_of(6)),
    _minds("transposed", "(float[N,M] x) => (float[M,N] y) { y = Transpose(x) }", rows_of(3)),
    _minds("gram", "(float[N,M] x) => (float[M,M] y) { xt = Transpose(x) y = MatMul(xt, x) }", rows_of(3)),
    Case("loss", "(float[N,3] x) => (float y) { y = ReduceMean<keepdims=0>(x) }", rows_of(3), minds=True, placed=True),
    _minds("loss-and-rows", "(float[N,3] x) => (float[N,3] y, float[M] loss) <int64[1] flat = {1}> "
           "{ y = Tanh(x) mean = ReduceMean<keepdims=0>(y) loss = Reshape(mean, flat) }", rows_of(3)),
    _minds("stop-words", '(string[N] x) => (string[K] y) { y = StringNormalizer<case_change_action="NONE", '
           'is_case_sensitive=1, stopwords=["the", "of"]>(x) }', _words),
    # Values: every row is there, and says something of its neighbours.
    _minds("share", "(float[N,3] x) => (float[N,3] y) <int64[1] zero = {0}> "
           "{ sum = ReduceSum(x, zero) y = Div(x, sum) }", positive(3)),
    _minds("softmax-of-columns", "(float[N,3] x) => (float[N,3] y) { y = Softmax<axis=0>(x) }", rows_of(3)),
    _minds("unit-columns", "(float[N,3] x) => (float[N,3] y) { y = LpNormalization<axis=0>(x) }", rows_of(3)),
    _minds("centred", "(float[N,3] x) => (float[N,3] y) { mean = ReduceMean<axes=[0]>(x) y = Sub(x, mean) }",
           rows_of(3)),
    _minds("largest-is-one", "(float[N,3] x) => (float[N,3] y) { most = ReduceMax(x) y = Div(x, most) }", positive(3)),
    _minds("after-the-first", "(float[N,3] x) => (float[N,3] y) <int64[1] zero = {0}> "
           "{ first = Gather(x, zero) y = Sub(x, first) }", rows_of(3)),
    _minds("running-sum", "(float[N,3] x) => (float[N,3] y) <int64 zero = {0}> { y = CumSum(x, zero) }", rows_of(3)),
    _minds("backwards", "(float[N,3] x) => (float[N,3] y) <int64[1] from = {-1}, int64[1] to = {-1000}, "
           "int64[1] axis = {0}, int64[1] step = {-1}> { y = Slice(x, from, to, axis, step) }", rows_of(3)),
    _minds("numbered", "(float[N,3] x) => (float[N,3] y) <int64 zero = {0}, int64 one = {1}, int64[1] column = {1}> "
           "{ rows = Shape<start=0, end=1>(x) n = Squeeze(rows) ids = Range(zero, n, one) real = Cast<to=1>(ids) "
           "  at = Unsqueeze(real, column) y = Add(x, at) }", rows_of(3)),
    _minds("sorted-rows", "(float[N,3] x) => (float[N,3] y, int64[N,3] at) "
           "{ rows = Shape<start=0, end=1>(x) y, at = TopK<axis=0>(x, rows) }", rows_of(3)),
    _minds("best-row", "(float[N,3] x) => (float[M,3] y, int64[M,3] at) <int64[1] one = {1}> "
           "{ y, at = TopK<axis=0>(x, one) }", rows_of(3)),
    _minds("last-row-wins", "(float[N,3] x) => (int64[M,3] y) { y = ArgMax<axis=0, select_last_index=1>(x) }",
           rows_of(3)),
    _minds("attention-to-others", "(float[N,4] x) => (float[N,4] y) "
           "{ xt = Transpose(x) scores = MatMul(x, xt) weights = Softmax<axis=1>(scores) y = MatMul(weights, x) }",
           rows_of(4)),
    _minds("batch-statistics", "(float[N,3] x) => (float[N,3] y) <float small = {0.00001}> "
           "{ mean = ReduceMean<axes=[0]>(x) d = Sub(x, mean) dd = Mul(d, d) v = ReduceMean<axes=[0]>(dd) "
           "  ve = Add(v, small) s = Sqrt(ve) y = Div(d, s) }", rows_of(3)),
    _minds("picture-statistics", "(float[N,2,3,3] x) => (float[N,2,3,3] y) { y = MeanVarianceNormalization(x) }",
           shaped(2, 3, 3)),
    Case("instance-of-all", "(float[N,4] x) => (float[N,4] y) <int64[3] one = {1, 1, -1}, int64[2] back = {-1, 4}, "
         "float[1] scale = {1}, float[1] bias = {0}> "
         "{ flat = Reshape(x, one) n = InstanceNormalization(flat, scale, bias) y = Reshape(n, back) }", rows_of(4),
         minds=True, placed=True),
    _minds("rows-as-channels", "(float[N,4] x) => (float[N,4] y) <int64[3] one = {1, 1, -1}, int64[2] back = {-1, 4}, "
           "float[1,1,3] w = {0.25, 0.5, 0.25}> "
           "{ flat = Reshape(x, one) c = Conv<pads=[1,1]>(flat, w) y = Reshape(c, back) }", rows_of(4)),
    _minds("dynamic-int8", "(float[N,8] x) => (float[N,4] y) <float unit = {0.02}> "
           "{ q, s, z = DynamicQuantizeLinear(x) i = MatMulInteger(q, w, z) f = Cast<to=1>(i) k = Mul(s, unit) "
           "  y = Mul(f, k) }", uneven(8),
           w=np.random.default_rng(0).integers(-127, 127, (8, 4)).astype(np.int8)),
    _minds("if-any-is-large", "(float[N,3] x) => (float[N,3] y) <float limit = {1.5}> "
           "{ most = ReduceMax<keepdims=0>(x) large = Greater(most, limit) y = If(large) <"
           "then_branch = halved () => (float[N,3] h) { two = Constant<value = float {2}>() h = Div(x, two) }, "
           "else_branch = kept () => (float[N,3] k) { k = Identity(x) }> }", rows_of(3)),
    _minds("until-all-are-small", "(float[N,3] x) => (float[N,3] y) <int64 most = {20}, bool on = {1}> "
           "{ y = Loop(most, on, x) <body = step (int64 i, bool c, float[N,3] v) => (bool more, float[N,3] w) "
           "{ half = Constant<value = float {0.5}>() w = Mul(v, half) top = ReduceMax<keepdims=0>(w) "
           "  more = Greater(top, half) }> }", rows_of(3, scale=4)),
    _lstm("(float[T,1,4] x) => (float[T,1,5] y) <int64[1] one = {1}> "
          "{ all, h, c = LSTM<hidden_size=5>(x, w, r) y = Squeeze(all, one) }", "time-first",
          shaped(1, 4), minds=True),
    _lstm("(float[T,4] x) => (float[T,5] y) <int64[1] one = {1}, int64[2] both = {1, 2}> "
          "{ steps = Unsqueeze(x, one) all, h, c = LSTM<hidden_size=5>(steps, w, r) y = Squeeze(all, both) }",
          "time-only", rows_of(4), minds=True),
    _minds("scale-by-hand", "(float[N,8] x) => (float[N,8] y) <float steps = {127}> "
           "{ a = Abs(x) most = ReduceMax(a) s = Div(most, steps) q = Div(x, s) r = Round(q) y = Mul(r, s) }",
           uneven(8)),
    _minds("how-often", "(int64[N,1] x) => (int64[N,1] y) <int64[1] one = {1}> "
           "{ row = Transpose(x) same = Equal(x, row) n = Cast<to=7>(same) y = ReduceSum(n, one) }", _ids(1, below=5)),
    _minds("next-row", "(float[N,3] x) => (float[N,3] y) <int64[4] pads = {0, 0, 1, 0}, int64[1] from = {1}, "
           "int64[1] to = {1000}, int64[1] axis = {0}> "
           "{ more = Pad(x, pads) next = Slice(more, from, to, axis) y = Sub(x, next) }", rows_of(3)),
    _minds("first-forty", "(float[N,3] x) => (float[N,3] y) <int64 zero = {0}, int64 one = {1}, int64 most = {40}, "
           "int64[1] column = {1}> "
           "{ rows = Shape<start=0, end=1>(x) n = Squeeze(rows) ids = Range(zero, n, one) near = Less(ids, most) "
           "  real = Cast<to=1>(near) kept = Unsqueeze(real, column) y = Mul(x, kept) }", rows_of(3)),
    # Several inputs: what one client's rows meet in the other input are another client's.
    _minds("each-with-each", "(float[N,4] a, float[M,4] b) => (float[N,M] y) { bt = Transpose(b) y = MatMul(a, bt) }",
           _two_batches),
    _minds("clip", "(float[I,8] image, float[T,8] text) => (float[I,T] per_image, float[T,I] per_text) "
           "{ i = LpNormalization<axis=1>(image) t = LpNormalization<axis=1>(text) tt = Transpose(t) "
           "  per_image = MatMul(i, tt) per_text = Transpose(per_image) }", _pictures_and_texts),
    _minds("table", "(float[M,4] table, int64[N] ids) => (float[N,4] y) { y = Gather(table, ids) }", _table_and_ids),
    _minds("graph-network", "(float[N,4] x, int64[E,2] edges) => (float[N,4] y) "
           "<int64 zero = {0}, int64 one = {1}, int64[1] column = {1}> "
           "{ from = Gather<axis=1>(edges, zero) to = Gather<axis=1>(edges, one) told = Gather(x, from) "
           '  at = Unsqueeze(to, column) y = ScatterND<reduction="add">(x, at, told) }', _nodes_and_edges),
)  # fmt: skip
"""An answer depends on who else is in the batch."""

RARE = (
    _minds("nan-spreads", "(float[N,3] x) => (float[N,3] y) <float none = {0}> "
           "{ sum = ReduceSum(x) nothing = Mul(sum, none) y = Add(x, nothing) }", spoilt(np.nan)),
    _minds("if-any-is-huge", "(float[N,3] x) => (float[N,3] y) <float limit = {100000}> "
           "{ most = ReduceMax<keepdims=0>(x) large = Greater(most, limit) y = If(large) <"
           "then_branch = halved () => (float[N,3] h) { two = Constant<value = float {2}>() h = Div(x, two) }, "
           "else_branch = kept () => (float[N,3] k) { k = Identity(x) }> }", spoilt(1e6)),
    _minds("last-nan-spreads", "(float[N,3] x) => (float[N,3] y) <int64[1] two = {2}> "
           "{ last = Gather<axis=1>(x, two) sum = ReduceSum(last) nothing = Sub(sum, sum) y = Add(x, nothing) }",
           spoilt(np.nan)),
    _minds("if-any-is-infinite", "(float[N,3] x) => (float[N,3] y) "
           "{ least = ReduceMin<keepdims=0>(x) inf = IsInf(least) one = Cast<to=1>(inf) y = Sub(x, one) }",
           spoilt(-np.inf)),
    _minds("if-any-is-nothing", "(float[N,3] x) => (float[N,3] y) <float zero = {0}> "
           "{ none = Equal(x, zero) ones = Cast<to=1>(none) most = ReduceMax<keepdims=0>(ones) y = Add(x, most) }",
           spoilt(0.0)),
    _minds("sixteen-bits", "(uint16[N,3] x) => (float[N,3] y) <float byte = {255}, float word = {65535}> "
           "{ real = Cast<to=1>(x) most = ReduceMax<keepdims=0>(real) large = Greater(most, byte) "
           "  scale = Where(large, word, byte) y = Div(real, scale) }", _samples(np.uint16, 1, 200)),
    _minds("ids-past-a-byte", "(int64[N,3] x) => (float[N,3] y) <float byte = {255}> "
           "{ real = Cast<to=1>(x) most = ReduceMax<keepdims=0>(real) scale = Max(most, byte) y = Div(real, scale) }",
           _samples(np.int64, 1, 200)),
    _minds("if-any-is-black", "(uint8[N,1] x) => (float[N,1] y) <float one = {1}> "
           "{ real = Cast<to=1>(x) least = ReduceMin<keepdims=0>(real) shown = Min(least, one) "
           "  y = Mul(real, shown) }", _samples(np.uint8, 0, 1, width=1)),
)  # fmt: skip
"""As `MIND`, and only beside rows with a number that ordinary trials do not hold: NaN, a million, or nothing."""

RANDOM = (
    # ONNX Runtime writes the running mean into the graph's own weights, so that every run changes the next one.
    Case("batch-norm-left-on", "(float[N,3] x) => (float[N,3] y) <float[3] one = {1, 1, 1}, float[3] zero = {0, 0, 0}> "
         "{ y, means, spreads = BatchNormalization<training_mode=1>(x, one, zero, zero, one) }", rows_of(3),
         minds=True, random=True),
    Case("noise", "(float[N,3] x) => (float[N,3] y) { r = RandomNormalLike<seed=1.0>(x) y = Add(x, r) }", rows_of(3),
         minds=True, random=True),
    Case("dropout-left-on", "(float[N,8] x) => (float[N,8] y) <float half = {0.5}, bool on = {1}> "
         "{ y = Dropout<seed=1>(x, half, on) }", rows_of(8), minds=True, random=True),
)  # fmt: skip
"""No two answers are equal, whoever asks for what."""


def _forest(rng: Generator, trees: int = 20, features: int = 6) -> str:
    """The attributes of a forest of stumps, as scikit-learn's converter writes one."""
    ids = [0, 1, 2] * trees
    lists: dict[str, list[Any]] = {
        "nodes_treeids": [tree for tree in range(trees) for _ in range(3)],
        "nodes_nodeids": ids,
        "nodes_featureids": [int(rng.integers(features)) if node == 0 else 0 for node in ids],
        "nodes_truenodeids": [1 if node == 0 else 0 for node in ids],
        "nodes_falsenodeids": [2 if node == 0 else 0 for node in ids],
        "nodes_missing_value_tracks_true": [0] * len(ids),
        "target_treeids": [tree for tree in range(trees) for _ in range(2)],
        "target_nodeids": [1, 2] * trees,
        "target_ids": [0] * (2 * trees),
    }
    reals = {
        "nodes_values": rng.normal(size=len(ids)).round(3).tolist(),
        "nodes_hitrates": [1.0] * len(ids),
        "target_weights": rng.normal(size=2 * trees).round(3).tolist(),
    }
    modes = ", ".join('"BRANCH_LEQ"' if node == 0 else '"LEAF"' for node in ids)
    written = [f"{name} = {values}" for name, values in (lists | reals).items()]
    return f"nodes_modes = [{modes}], n_targets = 1, " + ", ".join(written)


_TRANSFORMER = """(int64[N,S] ids, int64[N,S] mask) => (float[N,S,8] y)
<int64[2] middle = {1, 1}, float minus = {-10000}, float one = {1}, int64[1] axes = {1}, float root = {2.828}> {
    e = Gather(table, ids)
    q = MatMul(e, wq) k = MatMul(e, wk) v = MatMul(e, wv)
    kt = Transpose<perm=[0,2,1]>(k) raw = MatMul(q, kt) scaled = Div(raw, root)
    real = Cast<to=1>(mask) left = Sub(one, real) away = Mul(left, minus) row = Unsqueeze(away, axes)
    masked = Add(scaled, row) weights = Softmax<axis=-1>(masked) mixed = MatMul(weights, v)
    added = Add(e, mixed) n1 = LayerNormalization<axis=-1>(added, scale, bias)
    up = MatMul(n1, w1) act = Relu(up) down = MatMul(act, w2)
    again = Add(n1, down) y = LayerNormalization<axis=-1>(again, scale, bias)
}"""

WELL = (
    _mixes_well("twice", "(float[N,3] x) => (float[N,3] y) { y = Add(x, x) }", rows_of(3)),
    _mixes_well("wide", "(float[N,M] x) => (float[N,M] y) { y = Add(x, x) }", rows_of(3)),
    _mixes_well("not", "(bool[N,3] x) => (bool[N,3] y) { y = Not(x) }",
                lambda rng, rows: {"x": rng.random((rows, 3)) > 0.5}),
    _mixes_well("words", "(string[N,2] x) => (string[N,2] y) { y = Identity(x) }",
                lambda rng, rows: {"x": rng.choice(np.array(["", "naïve", "日本"], object), (rows, 2))}),
    _mixes_well("double", "(double[N,3] x) => (double[N,3] y) { y = Exp(x) }",
                lambda rng, rows: {"x": rng.normal(size=(rows, 3))}),
    _mixes_well("ids", "(int64[N] x) => (float[N,4] y) { y = Gather(table, x) }",
                lambda rng, rows: {"x": rng.integers(0, 10, rows)}, table=_weights(10, 4)),
    _mixes_well("embedding", "(int64[N,L] x) => (float[N,4] y) "
                "{ e = Gather(table, x) y = ReduceMean<axes=[1], keepdims=0>(e) }", _ids(5), table=_weights(10, 4)),
    _mixes_well("mlp", "(float[N,16] x) => (float[N,4] logits, float[N,4] y) "
                "{ a = Gemm(x, w1, b1) r = Relu(a) logits = Gemm(r, w2, b2) y = Softmax<axis=-1>(logits) }",
                rows_of(16), w1=_weights(16, 32), b1=_weights(32), w2=_weights(32, 4), b2=_weights(4)),
    _mixes_well("convolution", "(float[N,3,8,8] x) => (float[N,5] y) "
                "{ c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) p = GlobalAveragePool(r) f = Flatten(p) "
                "  y = Gemm(f, v) }",
                shaped(3, 8, 8), w=_weights(6, 3, 3, 3), b=_weights(6), v=_weights(6, 5)),
    _mixes_well("any-size", "(float[N,3,H,W] x) => (float[N,2,H,W] y) "
                "{ c = Conv<pads=[1,1,1,1]>(x, w) y = Sigmoid(c) }",
                shaped(3, 8, 8), w=_weights(2, 3, 3, 3)),
    _lstm("(float[N,T,4] x) => (float[N,T,5] y, float[N,5] last) <int64[1] one = {1}, int64[1] zero = {0}> "
          "{ steps = Transpose<perm=[1,0,2]>(x) all, h, c = LSTM<hidden_size=5>(steps, w, r) s = Squeeze(all, one) "
          "  y = Transpose<perm=[1,0,2]>(s) last = Squeeze(h, zero) }", "lstm", shaped(7, 4), minds=False),
    _mixes_well("transformer", _TRANSFORMER, _sentences, table=_weights(12, 8), wq=_weights(8, 8), wk=_weights(8, 8),
                wv=_weights(8, 8), w1=_weights(8, 16), w2=_weights(16, 8), scale=np.ones(8, np.float32),
                bias=np.zeros(8, np.float32)),
    _mixes_well("forest", "(float[N,6] x) => (float[N,1] y) { y = ai.onnx.ml.TreeEnsembleRegressor<"
                f"{_forest(np.random.default_rng(3))}>(x) }}", rows_of(6)),
    _mixes_well("best-of-a-row", "(float[N,6] x) => (float[N,2] y, int64[N,2] at, int64[N] first) <int64[1] two = {2}> "
                "{ y, at = TopK(x, two) first = ArgMax<axis=1, keepdims=0>(x) }", rows_of(6)),
    _mixes_well("static-int8", "(float[N,8] x) => (float[N,4] y) <float xs = {0.05}, uint8 xz = {128}, "
                "float ws = {0.01}, int8 wz = {0}, float ys = {0.1}, uint8 yz = {128}> "
                "{ q = QuantizeLinear(x, xs, xz) m = QLinearMatMul(q, xs, xz, w, ws, wz, ys, yz) "
                "  y = DequantizeLinear(m, ys, yz) }", rows_of(8),
                w=np.random.default_rng(0).integers(-127, 127, (8, 4)).astype(np.int8)),
    _mixes_well("flattened", "(float[N,2,3] x) => (float[N,6] y) <int64[2] keep = {0, -1}> { y = Reshape(x, keep) }",
                shaped(2, 3)),
    _mixes_well("two-inputs", "(float[N,3] x, int64[N,1] id) => (float[N,3] y) <int64[1] one = {1}> "
                "{ e = Gather(table, id) s = Squeeze(e, one) y = Add(x, s) }",
                lambda rng, rows: {"x": rng.normal(size=(rows, 3)).astype(np.float32),
                                   "id": rng.integers(0, 10, (rows, 1))},
                table=_weights(10, 3)),
)  # fmt: skip
"""Each row is answered for itself."""

CASES = (*MIND, *RARE, *WELL, *RANDOM)
