"""What the shipped bundles promise, asked of a real server with the real test data."""

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from inference.manifest import Manifest
from inference.predictor import Predictor
from inference.store.located import MANIFEST_FILE
from inference.store.repository import ModelRepository
from inference.values import Array, Payload
from tests.bundles import MODELS, shipped
from tests.serving.servers import ThreadedServer, start

REPOSITORY = ModelRepository(MODELS)
SHIPPED = [
    REPOSITORY.path(name, version) for name in REPOSITORY.names() for version in REPOSITORY.versions(name)
]
BUNDLE_LIMIT = 16 << 20  # bytes: what a bundle in the repository may weigh
ROWS = 1000


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadedServer]:
    with start(models=MODELS) as running:
        yield running


def test_the_fashion_model_is_shipped() -> None:
    assert "fashion" in REPOSITORY.names()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_shipped_bundle_is_proved_small_and_accounted_for(path: Path) -> None:
    manifest = Predictor.open(path).bundle.manifest
    assert sum(record.size for record in manifest.files.values()) < BUNDLE_LIMIT
    assert manifest.data is not None
    assert manifest.data.licence
    assert manifest.provenance is not None
    assert manifest.parity is not None
    assert manifest.parity.max_abs_diff <= manifest.parity.tolerance
    assert all(graph.evaluation is not None for graph in manifest.graphs.values())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_no_file_of_a_shipped_bundle_tells_where_it_was_made(path: Path) -> None:
    telling = (b'.py", line', b"/site-packages/", b"/home/", b"/root/", b"/tmp/")
    told = {
        (file.name, place) for file in path.rglob("*") if file.is_file() for place in telling
        if place in file.read_bytes()
    }  # fmt: skip
    assert not told


@pytest.mark.slow
def test_every_shipped_model_answers(server: ThreadedServer) -> None:
    with httpx.Client(base_url=server.url) as client:
        assert client.get("/v2/health/ready").json() == {"ready": True}
        index = client.post("/v2/repository/index").json()
    assert {(entry["name"], entry["state"]) for entry in index} == {
        (path.parent.name, "READY") for path in SHIPPED
    }


@pytest.mark.slow
def test_a_thousand_test_images_over_http_score_as_the_manifest_says(
    server: ThreadedServer,
) -> None:
    if "BATON_DATA" not in os.environ:
        pytest.skip("BATON_DATA is not set: the Fashion-MNIST test images are read from it")
    from training.data.public_images import read_idx

    folder = Path(os.environ["BATON_DATA"]) / "vision" / "fashion-mnist"
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz")
    truth = read_idx(folder / "t10k-labels-idx1-ubyte.gz")
    chosen = np.random.default_rng(0).choice(len(images), ROWS, replace=False)
    files = [_png(images[index]) for index in chosen]
    manifest = Manifest.model_validate_json((shipped("fashion") / MANIFEST_FILE).read_bytes())
    labels = json.loads((shipped("fashion") / "labels.json").read_text())
    with httpx.Client(base_url=server.url, headers={"content-type": "image/png"}) as client:
        answers = [client.post("/v1/models/fashion:predict", content=file).json() for file in files]
    guesses = [answer["predictions"][0]["label"] for answer in answers]
    predictor = Predictor.open(shipped("fashion"))
    offline = predictor.predict([Payload(file, "image/png") for file in files])
    assert guesses == [answer["label"] for answer in offline]
    right = sum(guess == labels[truth[index]] for guess, index in zip(guesses, chosen, strict=True))
    evaluation = manifest.graphs[manifest.serve].evaluation
    assert evaluation is not None
    assert evaluation.metrics["accuracy"] >= 0.940
    assert abs(right / ROWS - evaluation.metrics["accuracy"]) <= 0.005


@pytest.mark.slow
def test_test_images_are_no_drift_and_their_negatives_are(tmp_path: Path) -> None:
    if "BATON_DATA" not in os.environ:
        pytest.skip("BATON_DATA is not set: the Fashion-MNIST images are read from it")
    from training.data.public_images import read_idx
    from training.release.reference import add_reference

    newest = REPOSITORY.path("fashion")
    copied = Path(shutil.copytree(newest, tmp_path / "fashion" / newest.name))
    if Predictor.open(copied, prove=False).reference is None:  # it was published before there were any
        add_reference(copied)
    images = read_idx(
        Path(os.environ["BATON_DATA"]) / "vision" / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
    )
    chosen = images[np.random.default_rng(0).choice(len(images), ROWS, replace=False)]
    with (
        start(models=tmp_path, drift_window_rows=ROWS // 2) as server,
        httpx.Client(base_url=server.url, headers={"content-type": "image/png"}) as client,
    ):

        def alarms_after(some: Array) -> set[str]:
            for image in some:
                client.post("/v1/models/fashion:predict", content=_png(image)).raise_for_status()
            shown = re.findall(
                r'^baton_drift_alarm\{feature="(\w+)".*\} 1.0$', client.get("/metrics").text, re.MULTILINE
            )
            return set(shown)

        assert alarms_after(chosen[: ROWS // 2]) == set()
        assert {"brightness", "label", "confidence"} <= alarms_after(255 - chosen[ROWS // 2 :])


@pytest.mark.slow
def test_a_thousand_test_reviews_over_http_score_what_the_manifest_says(server: ThreadedServer) -> None:
    if "BATON_DATA" not in os.environ:
        pytest.skip("BATON_DATA is not set: the test reviews of IMDB are read from it")
    from training.data.text_sets import load_texts

    test = load_texts("imdb", "text", "label", strict=False).test
    rows = [test[place] for place in np.random.default_rng(0).choice(len(test), ROWS, replace=False)]
    with httpx.Client(base_url=server.url, headers={"content-type": "text/plain"}) as client:
        answers = [
            client.post("/v1/models/reviews:predict", content=row.text.encode()).json() for row in rows
        ]
    guesses = [answer["predictions"][0]["label"] for answer in answers]
    predictor = Predictor.open(shipped("reviews"))
    offline = predictor.predict([Payload(row.text) for row in rows])
    assert guesses == [answer["label"] for answer in offline]
    evaluation = predictor.bundle.manifest.graphs["fp32"].evaluation
    assert evaluation is not None
    assert evaluation.metrics["accuracy"] >= 0.905
    right = sum(guess == row.label for guess, row in zip(guesses, rows, strict=True))
    assert abs(right / ROWS - evaluation.metrics["accuracy"]) <= 0.02


def _png(pixels: Array) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
