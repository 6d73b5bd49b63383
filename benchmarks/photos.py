"""Raw JPEG photographs over HTTP beside decoding and inference alone, in this process, by turns."""

import io
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.asking import load
from benchmarks.result import Claim, parser, shown, write
from benchmarks.server import serving
from inference.predictor import Predictor
from inference.runtime.machine import available_cpus
from inference.runtime.session import SessionOptions
from inference.store.repository import ModelRepository
from inference.values import Payload
from serving.bench.figures import interval
from serving.bench.request import Body, build_target
from serving.bench.values import Closed

LEAST_SHARE = 0.8


def main() -> int:
    """Measure, write, and say whether the promise holds."""
    cli = parser("photos", __doc__)
    cli.add_argument("--models", type=Path, default=Path("models"))
    cli.add_argument("--model", default="photos")
    cli.add_argument("--photos", type=Path, help="a folder of .jpg; default: 16 made here, 500×400")
    cli.add_argument("--connections", type=int, default=16)
    cli.add_argument("--rounds", type=int, default=5)
    cli.add_argument("--seconds", type=float, default=4.0)
    given = cli.parse_args()
    photos = (
        [file.read_bytes() for file in sorted(given.photos.glob("*.jpg"))] if given.photos else make_photos()
    )
    path = ModelRepository(given.models).path(
        given.model, max(ModelRepository(given.models).versions(given.model))
    )
    predictor = Predictor.open(path, options=SessionOptions(threads=1))
    alone: list[float] = []
    served: list[float] = []
    with serving(given.models) as server:
        bodies = [Body(photo, {"Content-Type": "image/jpeg"}) for photo in photos]
        target = build_target(server.url, f"/v1/models/{given.model}:predict", bodies, {})
        load(target, Closed(given.connections), 1.0)
        for _ in range(given.rounds):
            alone.append(_alone(predictor, photos, given.seconds))
            served.append(load(target, Closed(given.connections), given.seconds).rate)
    share = interval([ours / theirs for ours, theirs in zip(served, alone, strict=True)])
    rows = [
        ("decode and inference alone", shown(interval(alone), "{:.0f}")),
        (f"over HTTP, {given.connections} connections", shown(interval(served), "{:.0f}")),
        ("share", shown(share)),
    ]
    claim = Claim(text="share of decoding and inference alone", expected=f"at least {LEAST_SHARE}",
                  actual=f"{share.median:.2f}", kept=share.median >= LEAST_SHARE)  # fmt: skip
    return write(given.out, (f"{len(photos)} photographs", "images/s"), rows, [claim])


def _alone(predictor: Predictor, photos: list[bytes], seconds: float) -> float:
    """Photographs a second with as many threads as CPUs, each decoding and running its own, one at a time."""
    processor, end = predictor.processor, time.perf_counter() + seconds

    def work(place: int) -> int:
        done = 0
        while time.perf_counter() < end:
            photo = photos[(place + done) % len(photos)]
            features = processor.preprocess(processor.decode(Payload(photo, "image/jpeg")))
            processor.postprocess(predictor.session.run(features.tensors), features.context)
            done += 1
        return done

    with ThreadPoolExecutor(available_cpus()) as pool:
        return sum(pool.map(work, range(available_cpus()))) / seconds


def make_photos(count: int = 16, size: tuple[int, int] = (500, 400)) -> list[bytes]:
    """Smooth noise, which compresses about as photographs do."""
    generator = np.random.default_rng(3)
    photos: list[bytes] = []
    for _ in range(count):
        coarse = generator.integers(0, 256, (25, 20, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
        fine = generator.normal(0, 6, (size[1], size[0], 3))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(np.asarray(image) + fine, 0, 255).astype(np.uint8)).save(
            buffer, "JPEG", quality=87
        )
        photos.append(buffer.getvalue())
    return photos


if __name__ == "__main__":
    sys.exit(main())
