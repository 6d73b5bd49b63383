"""Images as people have them: splits by their usual names, tables that name files, and tables that hold images."""

import io
import logging
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pyarrow.parquet
import pytest
from PIL import Image

from tests.training.data.test_image_folder import GREY
from training.data.image_folder import ImageFolder, read_folder
from training.data.tables import Flags
from training.errors import DataError

draw = np.random.default_rng(0)


def png(level: int) -> bytes:
    buffer = io.BytesIO()
    pixels = draw.normal(level, 9, (9, 7)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def fill(folder: Path, each: int = 6) -> Path:
    for label, level in (("dark", 30), ("light", 220)):
        (folder / label).mkdir(parents=True)
        for number in range(each):
            (folder / label / f"{number}.png").write_bytes(png(level))
    return folder


def read(root: Path, **flags: str) -> ImageFolder:
    return read_folder(root, GREY, strict=True, flags=Flags(content_flag="--image-column", **flags))


def sizes(found: ImageFolder) -> tuple[int, int, int]:
    validation = 0 if found.validation is None else len(found.validation.labels)
    return len(found.train.labels), validation, len(found.test.labels)


def agrees(found: ImageFolder) -> bool:
    """Whether every label is that of its pixels."""
    parts = [part for part in (found.train, found.validation, found.test) if part is not None]
    return all(((part.pixels.mean((1, 2, 3)) > 128) == part.labels).all() for part in parts)


@pytest.mark.parametrize("train", ["train", "Training"])
@pytest.mark.parametrize("validation", ["val", "valid", "validation", "dev"])
@pytest.mark.parametrize("test", ["test", "testing", "eval", ""])
def test_folders_of_splits_have_any_of_their_usual_names(
    tmp_path: Path, train: str, validation: str, test: str
) -> None:
    fill(tmp_path / train, 10)
    fill(tmp_path / validation, 3)
    if test:
        fill(tmp_path / test, 2)
    found = read(tmp_path)
    assert found.classes == ("dark", "light")
    assert sizes(found) == ((20, 6, 4) if test else (16, 6, 4))
    assert agrees(found)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "light").rename(tmp_path / "train")
    assert read(tmp_path).classes == ("dark", "train")


def test_a_test_folder_without_classes_is_left_out_with_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(tmp_path / "train")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "1.png").write_bytes(png(9))
    assert sizes(read(tmp_path)) == (10, 0, 2)
    assert "test holds no folders of classes: it is left out" in caplog.text


def contest(root: Path, name: str = "{}") -> list[tuple[str, str]]:
    """A contest's folder: pictures in train and test, and a table of the first's labels."""
    (root / "train").mkdir()
    (root / "test").mkdir()
    (root / "sample_submission.csv").write_text("id,dark,light\nt0,0,0\n")
    (root / "test" / "t0.jpg").write_bytes(png(9))
    rows = []
    for number in range(12):
        (root / "train" / f"a{number}.jpg").write_bytes(png(220 if number % 2 else 30))
        rows.append((name.format(f"a{number}"), ("dark", "light")[number % 2]))
    return rows


@pytest.mark.parametrize("name", ["{}", "{}.jpg", "train/{}.jpg"], ids=["stem", "name", "path"])
@pytest.mark.parametrize("file", ["labels.csv", "labels.csv.gz", "train.tsv", "labels.parquet"])
def test_a_table_names_the_pictures_beside_it(
    tmp_path: Path, name: str, file: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    rows = contest(tmp_path, name)
    columns = pyarrow.table({"id": [row[0] for row in rows], "breed": [row[1] for row in rows]})
    if file.endswith(".parquet"):
        pyarrow.parquet.write_table(columns, tmp_path / file)
    else:
        options = pyarrow.csv.WriteOptions(delimiter="\t" if ".tsv" in file else ",")
        with pyarrow.output_stream(str(tmp_path / file), compression="detect") as stream:
            pyarrow.csv.write_csv(columns, stream, options)
    for data in (tmp_path, tmp_path / file):
        found = read(data)
        assert sizes(found) == (10, 0, 2)
        assert agrees(found)
        assert found.choices == {"image_column": "id", "label_column": "breed"}
    assert "'id' is taken as --image-column and 'breed' as --label-column" in caplog.text


def test_pictures_that_a_table_names_and_are_missing_are_faults(tmp_path: Path) -> None:
    rows = [*contest(tmp_path), ("gone", "dark")]
    (tmp_path / "labels.csv").write_text("id,breed\n" + "".join(f"{a},{b}\n" for a, b in rows))
    found = read_folder(tmp_path, GREY, strict=False)
    assert found.faults == ["labels.csv, row 14: there is no image 'gone'"]
    with pytest.raises(DataError, match="no image 'gone'"):
        read(tmp_path)


def test_columns_of_images_that_are_not_plain_are_asked_for(tmp_path: Path) -> None:
    rows = contest(tmp_path)
    path = tmp_path / "labels.csv"
    path.write_text("id,file,kind\n" + "".join(f"{a},{a}.jpg,{b}\n" for a, b in rows))
    with pytest.raises(DataError, match=r"named by 'id' or 'file'\. Say which with --image-column"):
        read(path, label="kind")
    assert sizes(read(path, content="file", label="kind")) == (10, 0, 2)
    path.write_text("id,kind\n" + "".join(f"x{a},{b}\n" for a, b in rows))
    with pytest.raises(DataError, match=r"labels.csv: no column names images .* Name yours with --image-col"):
        read(path)


def hugging_face(path: Path, count: int, *, pairs: bool) -> None:
    images = [png(220 if number % 2 else 30) for number in range(count)]
    cells = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    table = pyarrow.table({"image": cells if pairs else images, "label": [n % 2 for n in range(count)]})
    features = b'{"info": {"features": {"label": {"names": ["dark", "light"], "_type": "ClassLabel"}}}}'
    pyarrow.parquet.write_table(table.replace_schema_metadata({"huggingface": features}), path)


@pytest.mark.parametrize("pairs", [True, False], ids=["bytes and path", "bytes"])
def test_parquet_that_holds_images_is_read_with_the_names_of_its_classes(tmp_path: Path, pairs: bool) -> None:
    (tmp_path / "data").mkdir()
    hugging_face(tmp_path / "data" / "train-00000-of-00001.parquet", 12, pairs=pairs)
    hugging_face(tmp_path / "data" / "validation-00000-of-00001.parquet", 4, pairs=pairs)
    hugging_face(tmp_path / "data" / "test-00000-of-00001.parquet", 6, pairs=pairs)
    found = read(tmp_path)
    assert found.classes == ("dark", "light")
    assert sizes(found) == (12, 4, 6)
    assert agrees(found)
    assert sizes(read(tmp_path / "data" / "train-00000-of-00001.parquet")) == (10, 0, 2)


def test_a_broken_image_in_parquet_is_named_by_its_row(tmp_path: Path) -> None:
    images = [png(30) for _ in range(8)] + [b"broken"]
    labels = [*"abababab", "a"]
    pyarrow.parquet.write_table(pyarrow.table({"img": images, "label": labels}), tmp_path / "p.parquet")
    found = read_folder(tmp_path / "p.parquet", GREY, strict=False)
    assert len(found.faults) == 1
    assert found.faults[0].startswith("p.parquet, row 9: got 6 bytes of no known format")
