"""What a folder is understood as: whose names count, which versions there are, and a sentence for everything else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.__main__ import main
from inference.errors import ModelNotFound
from inference.folder import passed_over
from inference.store.bundle import Bundle
from inference.store.repository import ModelRepository
from tests.bundles import MODELS, sum_graph, write_bare, write_brightness
from tests.wrong_things import WRONG, Wrong

COPYING = (
    ".model.onnx.Xa12", "model.onnx.part", "model.onnx.tmp", ".~tmp~", "..data", "..2026_11_30_12_00_00.1",
    "lost+found",    ".DS_Store", ".git", "model.onnx~", "model.onnx.partial", "model.onnx.filepart", ".nfs0001",
)  # fmt: skip


def _versions(root: Path) -> dict[str, list[int]]:
    return {name: list(versions) for name, versions in ModelRepository(root).look().versions.items()}


@pytest.mark.parametrize("name", COPYING)
def test_a_copiers_file_is_no_file_of_a_bundle_and_its_folder_no_model(tmp_path: Path, name: str) -> None:
    assert passed_over(name)
    (write_brightness(tmp_path) / name).write_bytes(b"half of it")
    write_bare(tmp_path, name, sum_graph())
    (tmp_path / "brightness" / name).mkdir()
    sight = ModelRepository(tmp_path).look()
    assert (list(sight.versions), sight.faults) == (["brightness"], ())
    assert Bundle.open(sight.versions["brightness"][1]).manifest.task == "vision"


def _flat_bundle(root: Path) -> Path:
    write_brightness(root, version=7).rename(root / "flat")
    (root / "brightness").rmdir()
    return (root / "flat").rename(root / "brightness")


CLEAR: list[tuple[str, Callable[[Path], object], dict[str, list[int]]]] = [
    ("a version with zeros",
     lambda root: write_bare(root, "lead", sum_graph()).rename(root / "lead/001"), {"lead": [1]}),
    ("a version with a v",
     lambda root: write_bare(root, "lead", sum_graph()).rename(root / "lead/v2"), {"lead": [2]}),
    ("a graph by another name",
     lambda root: (write_bare(root, "x", sum_graph(), None) / "model.onnx").rename(root / "x/any.onnx"), {"x": [1]}),
    ("a version's graph by another name",
     lambda root: (write_bare(root, "x", sum_graph(), 4) / "model.onnx").rename(root / "x/4/ANY.ONNX"), {"x": [4]}),
    ("a bundle without a version's folder", _flat_bundle, {"brightness": [7]}),
    ("Triton's folder for a graph with weights",
     lambda root: write_bare(root / "x/1", "model.onnx", sum_graph(), None), {"x": [1]}),
    ("a link named latest",
     lambda root: (write_bare(root, "x", sum_graph(), 3).parent / "latest").symlink_to("3"), {"x": [3]}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "versions"), [each[1:] for each in CLEAR], ids=[each[0] for each in CLEAR])
def test_what_is_clear_is_served_under_its_name_and_number(
    tmp_path: Path, make: Callable[[Path], object], versions: dict[str, list[int]]
) -> None:
    make(tmp_path)
    sight = ModelRepository(tmp_path).look()
    assert _versions(tmp_path) == versions
    assert not sight.faults
    for name, found in sight.versions.items():
        for version, located in found.items():
            manifest = Bundle.open(located).manifest
            assert (manifest.name, manifest.version) == (name, version)
    assert main(["check", str(tmp_path)]) == 0


OWN: list[tuple[str, Callable[[Path], Path], dict[str, list[int]]]] = [
    ("a model's own folder", lambda root: write_brightness(root, version=3).parent, {"brightness": [3]}),
    ("a version's own folder", lambda root: write_brightness(root, version=3), {"brightness": [3]}),
    ("a folder with a graph", lambda root: write_bare(root, "lead", sum_graph(), None), {"lead": [1]}),
    ("a graph's version", lambda root: write_bare(root, "lead", sum_graph(), 2), {"lead": [2]}),
    ("a graph's versions", lambda root: write_bare(root, "lead", sum_graph(), 2).parent, {"lead": [2]}),
    ("a bundle by any name", lambda root: write_brightness(root, version=3).rename(root / "b"), {"brightness": [3]}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "versions"), [each[1:] for each in OWN], ids=[each[0] for each in OWN])
def test_a_models_own_folder_is_a_repository_of_that_model(
    tmp_path: Path,
    make: Callable[[Path], Path],
    versions: dict[str, list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = make(tmp_path)
    assert _versions(own) == versions
    assert main(["check", str(own)]) == 0
    monkeypatch.chdir(own)
    assert _versions(Path()) == versions


def test_a_models_own_folder_stays_one_when_something_is_put_beside_its_versions(tmp_path: Path) -> None:
    own = write_brightness(tmp_path, version=3).parent
    (own / "notes").mkdir()
    (own / "latest").symlink_to("3")
    shutil.copytree(own / "3", own / "backup")
    assert _versions(own) == {"brightness": [3]}


def test_a_model_named_as_a_number_is_a_model_beside_others(tmp_path: Path) -> None:
    write_bare(tmp_path, "7", sum_graph(), None)
    write_bare(tmp_path, "sum", sum_graph())
    assert _versions(tmp_path) == {"7": [1], "sum": [1]}


def test_the_shipped_models_are_without_a_fault() -> None:
    assert not ModelRepository(MODELS).look().faults


@pytest.mark.parametrize("wrong", WRONG, ids=[wrong.kind for wrong in WRONG])
def test_a_wrong_thing_is_one_sentence_of_the_check_which_fails(
    tmp_path: Path, wrong: Wrong, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bare(tmp_path, "sum", sum_graph())
    wrong.make(tmp_path)
    assert main(["check", str(tmp_path)]) == (1 if wrong.serious else 0)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("sum/1: proved, ")]
    (sentence,) = (line for line in lines if ": proved, " not in line)
    known_as = f"{wrong.name}/{wrong.version}".rstrip("/")
    assert sentence.startswith(
        f"{known_as}: refused: " if wrong.version_is_opened else f"{known_as}: not served: "
    )
    assert wrong.words in sentence


def test_the_check_of_a_folder_without_a_model_says_what_it_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path)]) == 1
    assert "looked for NAME/VERSION/manifest.json" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "nowhere")]) == 1
    assert "expected a folder of models: No such file or directory" in capsys.readouterr().err


def test_a_bundle_in_a_projected_volume_is_whole(tmp_path: Path) -> None:
    made = write_brightness(tmp_path / "made")
    volume = tmp_path / "models/brightness/1"
    volume.mkdir(parents=True)
    shutil.copytree(made, volume / "..2026_11_30_12_00_00.1")
    (volume / "..data").symlink_to("..2026_11_30_12_00_00.1")
    for entry in made.iterdir():
        (volume / entry.name).symlink_to(f"..data/{entry.name}")
    assert main(["check", str(tmp_path / "models")]) == 0


def test_the_repository_lists_models_by_integer_versions(tmp_path: Path) -> None:
    write_brightness(tmp_path, version=2)
    write_brightness(tmp_path, version=10)
    write_bare(tmp_path, "flat", sum_graph(), version=None)
    (tmp_path / "notes").mkdir()
    (tmp_path / "brightness" / "latest").mkdir()
    (tmp_path / "brightness" / "11").mkdir()  # being written: its manifest comes last
    repository = ModelRepository(tmp_path)
    assert repository.names() == ["brightness", "flat"]
    assert repository.versions("brightness") == [2, 10]
    assert repository.open("brightness").manifest.version == 10
    assert repository.open("flat").manifest.version == 1
    with pytest.raises(ModelNotFound):
        repository.path("brightness", 3)
    with pytest.raises(ModelNotFound):
        repository.path("../brightness")


def test_a_missing_folder_is_an_empty_repository(tmp_path: Path) -> None:
    assert ModelRepository(tmp_path / "nothing").names() == []
