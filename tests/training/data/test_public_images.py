"""The named image sets, from files made as theirs are."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.data import public_images
from training.data.public_images import read_idx, read_public
from training.data.public_sets import PUBLIC_SETS
from training.errors import DataError


def test_idx_file_gives_its_array(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + array.tobytes()))
    assert (read_idx(path) == array).all()


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b"xy", mtime=0),
        gzip.compress(struct.pack(">HBBI", 0, 8, 1, 9) + b"short", mtime=0),
    ],
    ids=["not gzip", "no header", "too short"],
)
def test_broken_idx_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.gz"):
        read_idx(path)


def test_an_archive_of_folders_by_class_is_read_in_the_order_of_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "cifar.zip", "w") as archive:
        for split, label, level in (("train", "dog", 90), ("train", "cat", 10), ("test", "dog", 200)):
            drawn = io.BytesIO()
            Image.new("RGB", (4, 3), (level,) * 3).save(drawn, "jpeg")
            archive.writestr(f"cifar/{split}/{label}/0.jpg", drawn.getvalue())
    monkeypatch.setattr(public_images, "local_files", lambda _: [tmp_path / "cifar.zip"])
    found = read_public(PUBLIC_SETS["cifar10-jpeg"])
    assert found.classes == ("cat", "dog")
    assert (found.train.labels.tolist(), found.test.labels.tolist()) == ([0, 1], [1])
    assert found.train.pixels[:, 0, 0, 0].tolist() == [10, 90]
    assert found.test.pixels.shape == (1, 3, 4, 3)
