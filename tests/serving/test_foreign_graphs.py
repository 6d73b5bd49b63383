"""Graphs that other packages ship, each as its package has it: the bits of ONNX Runtime alone, under 16 clients.

`BATON_FOREIGN_GRAPHS` is the folder in which `.ci/clients` lays the unpacked wheels; those of the `onnx` package
are always there.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.random import Generator

from inference.runtime.session import SLOWER_ON_CPU
from inference.values import Array, Tensors
from tests.bundles import write_bare
from tests.deploy.tools import missing
from tests.serving.neighbours import ROUNDING
from tests.serving.parallel_clients import ParallelClients, parallel_clients, same
from tests.serving.servers import start

pytestmark = pytest.mark.slow

CLIENTS = 16
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"

Ask = Callable[[Generator], Tensors]
"""A valid request."""


def image(name: str, *axes: int | tuple[int, ...]) -> Ask:
    """float32 between -1 and 1; an axis of which there are several to choose is another one each time."""

    def made(rng: Generator) -> Tensors:
        shape = [axis if isinstance(axis, int) else int(rng.choice(axis)) for axis in axes]
        return {name: rng.uniform(-1, 1, shape).astype(np.float32)}

    return made


def speech(*, rate: bool = False, samples: int = 576, batch: tuple[int, ...] = (1,)) -> Ask:
    """Samples with those that came before them, what was heard until then, and, where expected, how many a second."""

    def made(rng: Generator) -> Tensors:
        rows = int(rng.choice(batch))
        heard = {
            "input": rng.uniform(-1, 1, (rows, samples)).astype(np.float32),
            "state": rng.normal(size=(2, rows, 128)).astype(np.float32),
        }
        return heard | ({"sr": np.array(16000, np.int64)} if rate else {})

    return made


def whole_speech(rng: Generator) -> Tensors:
    """A number of steps, which are no batch."""
    cells = {name: rng.normal(size=(1, 1, 128)).astype(np.float32) for name in ("h", "c")}
    return {"input": rng.uniform(-1, 1, (int(rng.integers(2, 9)), 576)).astype(np.float32), **cells}


def file_bytes(rng: Generator) -> Tensors:
    """The beginning, middle and end of a file, or of several; 256 stands for what is not there."""
    return {"bytes": rng.integers(0, 257, (int(rng.integers(1, 3)), 2048)).astype(np.int32)}


TEXT_LINES = image("x", (1, 2), 3, 48, (96, 128, 160))
WHOLE_PAGES = image("x", (1, 2), 3, (64, 96), (64, 128))
UPRIGHT = image("x", (1, 2), 3, 48, 192)

PACKAGES: Mapping[str, Mapping[str, Ask]] = {
    "magika": {"magika/models/standard_v3_3/model.onnx": file_bytes},
    "silero_vad": {
        "silero_vad/data/silero_vad.onnx": speech(rate=True, batch=(1, 2)),
        "silero_vad/data/silero_vad_16k_op15.onnx": speech(rate=True, batch=(1, 2)),
        "silero_vad/data/silero_vad_op18_ifless.onnx": speech(rate=True, batch=(1, 2)),
        "silero_vad/data/silero_vad_half.onnx": speech(batch=(1, 2)),
        "silero_vad/data/silero_vad_openvino_16k.onnx": speech(),
        "silero_vad/data/silero_vad_16k_sequence.onnx": whole_speech,
    },
    "ddddocr": {
        "ddddocr/common.onnx": image("input1", 1, 1, 64, (128, 160)),
        "ddddocr/common_old.onnx": image("input1", 1, 1, 64, (128, 160)),
        "ddddocr/common_det.onnx": image("images", 1, 3, 416, 416),
    },
    "nudenet": {"nudenet/320n.onnx": image("images", (1, 2), 3, (160, 320), (160, 320))},
    "rapidocr_onnxruntime": {
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx": WHOLE_PAGES,
        "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": TEXT_LINES,
        "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": UPRIGHT,
    },
    "rapidocr": {
        "rapidocr/models/PP-OCRv6_det_small.onnx": WHOLE_PAGES,
        "rapidocr/models/PP-OCRv6_rec_small.onnx": TEXT_LINES,
        "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx": UPRIGHT,
    },
}
LIGHT_INPUTS = {
    "bvlc_alexnet": "data_0", "densenet121": "data_0", "inception_v1": "data_0", "inception_v2": "data_0",
    "resnet50": "gpu_0/data_0", "shufflenet": "gpu_0/data_0", "squeezenet": "data_0", "vgg19": "data_0",
    "zfnet512": "gpu_0/data_0",
}  # fmt: skip


class Alone:
    """ONNX Runtime with one graph and one request at a time: the level and the fusions that are served, one thread."""

    def __init__(self, graph: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"], disabled_optimizers=SLOWER_ON_CPU
        )
        self._names = [output.name for output in self._session.get_outputs()]

    def run(self, tensors: Tensors) -> dict[str, Array]:
        return dict(zip(self._names, self._session.run(self._names, tensors), strict=True))


@pytest.fixture(scope="module")
def folder() -> Path:
    named = os.environ.get("BATON_FOREIGN_GRAPHS", "")
    if not named:
        missing("BATON_FOREIGN_GRAPHS is not set: the folder of unpacked wheels that .ci/clients fetches")
    return Path(named)


def served_name(file: str) -> str:
    return file.removesuffix("/model.onnx").removesuffix(".onnx").rpartition("/")[2]


def check(asking: ParallelClients, model: str, graph: Path, ask: Ask, requests: int) -> None:
    """So many different requests, each of 16 clients with one of them at a time: every answer against it alone.

    To the bit, but where rows share runs: there a request of two rows may be run as two, or beside others. ONNX Runtime
    then sums up in another order: of these graphs PP-OCRv6's reader alone differs, by 1.3e-6.
    """
    rng, alone = np.random.default_rng(7), Alone(graph)
    asked = [ask(rng) for _ in range(requests)]
    expected = [alone.run(each) for each in asked]
    rtol = ROUNDING if asking.batches(model) else 0.0
    for start_at in range(0, max(requests, CLIENTS), CLIENTS):
        places = [place % requests for place in range(start_at, start_at + CLIENTS)]
        answers = asking.ask(model, [asked[place] for place in places])
        assert all(
            same(answer, expected[place], rtol) for place, answer in zip(places, answers, strict=True)
        ), model


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_ships_is_answered_as_by_onnx_runtime_alone(
    folder: Path, tmp_path: Path, package: str
) -> None:
    graphs = PACKAGES[package]
    shipped = {path.relative_to(folder).as_posix() for path in (folder / package).rglob("*.onnx")}
    assert shipped == set(graphs)
    for file in graphs:
        write_bare(tmp_path, served_name(file), (folder / file).read_bytes())
    with start(models=tmp_path) as server, parallel_clients(server.url, CLIENTS) as asking:
        for file, ask in graphs.items():
            check(asking, served_name(file), folder / file, ask, 2 * CLIENTS)


@pytest.mark.parametrize("name", LIGHT_INPUTS)
def test_the_light_models_of_the_onnx_package(tmp_path: Path, name: str) -> None:
    graph = LIGHT / f"light_{name}.onnx"
    write_bare(tmp_path, name, graph.read_bytes())
    with start(models=tmp_path) as server, parallel_clients(server.url, CLIENTS) as asking:
        check(asking, name, graph, image(LIGHT_INPUTS[name], 1, 3, 224, 224), 4)


def test_every_light_model_is_tried() -> None:
    assert {file.name for file in LIGHT.glob("*.onnx")} == {f"light_{name}.onnx" for name in LIGHT_INPUTS}
