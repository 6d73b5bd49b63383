"""What people and programs leave in a folder of models that cannot be served, and the sentence that each deserves."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bundles import sum_graph, write_bare, write_brightness


@dataclass(frozen=True)
class Wrong:
    """One wrong thing: how it comes about, what it is called in the index, and words of its sentence."""

    kind: str
    make: Callable[[Path], object]
    name: str
    version: str
    words: str
    version_is_opened: bool = False
    """It looks like a version, so that only opening it tells."""
    serious: bool = True


def _file(path: Path, content: bytes = b"x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _graph(path: Path) -> None:
    _file(path, sum_graph())


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _two(root: Path) -> None:
    for name in ("a", "b"):
        _graph(root / f"two/1/{name}.onnx")


def _twins(root: Path) -> None:
    write_bare(root, "twins", sum_graph())
    _graph(root / "twins/001/model.onnx")


def _beside(root: Path) -> None:
    write_bare(root, "beside", sum_graph())
    _graph(root / "beside/model.onnx")


def _renamed(root: Path) -> None:
    made = write_brightness(root / ".made").parent
    made.rename(root / "renamed")
    shutil.rmtree(root / ".made")


def _pipe(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def _listed_pipe(root: Path) -> None:
    labels = write_brightness(root, "listed") / "labels.json"
    labels.unlink()
    os.mkfifo(labels)


def _undecodable(root: Path) -> None:
    folder = os.fsencode(root) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102 - a name that is no text
    (Path(os.fsdecode(folder)) / "model.onnx").write_bytes(sum_graph())


WRONG = [
    Wrong("a blank in the name", lambda root: _graph(root / "My Model/model.onnx"),
          "My Model", "", "such as My-Model"),
    Wrong("an umlaut in the name", lambda root: _graph(root / "Größe/1/model.onnx"), "Größe", "", "such as Grosse"),
    Wrong("a name that is no text", _undecodable, "caf\N{REPLACEMENT CHARACTER}", "", "no part of an address"),
    Wrong("an empty folder", lambda root: (root / "empty").mkdir(), "empty", "", "it is empty", serious=False),
    Wrong("notes", lambda root: _file(root / "notes/todo.txt"), "notes", "", "got todo.txt", serious=False),
    Wrong("an empty version", lambda root: (root / "void/1").mkdir(parents=True), "void", "1", "it is empty"),
    Wrong("another format", lambda root: _file(root / "torch/model.pt"),
          "torch", "", "got model.pt, which is no ONNX"),
    Wrong("an archive", lambda root: _file(root / "packed.zip"),
          "packed.zip", "", "packed, expected packed/model.onnx"),
    Wrong("a loose graph", lambda root: _graph(root / "loose.onnx"), "loose.onnx", "", "expected loose/model.onnx"),
    Wrong("two graphs", _two, "two", "1",
          "got a.onnx, b.onnx, expected one graph, or one named model.onnx"),
    Wrong("a digit that is no number", lambda root: _graph(root / "squared/²/model.onnx"),
          "squared", "²", "no version"),
    Wrong("version 0", lambda root: _graph(root / "zero/0/model.onnx"), "zero", "0", "expected a number above 0"),
    Wrong("a word for a version", lambda root: _graph(root / "word/latest/model.onnx"),
          "word", "latest", "no version"),
    Wrong("two of one version", _twins, "twins", "001", "version 1 as 1 does"),
    Wrong("a graph beside versions", _beside, "beside", "", "model.onnx lies beside the versions' folders"),
    Wrong("a graph too deep", lambda root: _graph(root / "deep/1/export/model.onnx"),
          "deep", "1", "too deep, in export"),
    Wrong("a folder of models in it", lambda root: _graph(root / "outer/inner/1/model.onnx"), "outer", "",
          "too deep, in inner/1"),
    Wrong("a link to nowhere", lambda root: _link(root / "dangling", "nowhere"),
          "dangling", "", "link that leads nowhere"),
    Wrong("a link within a version", lambda root: _link(root / "foo/1/w", "nowhere"),
          "foo", "1", "w is a link to nowhere"),
    Wrong("a version that is a link", lambda root: _link(root / "away/1", "nowhere"),
          "away", "1", "a link to nowhere"),
    Wrong("a graph that is a link", lambda root: _link(root / "bent/1/model.onnx", "../../x"),
          "bent", "1", "leads nowhere"),
    Wrong("a link to itself", lambda root: _link(root / "circle/1/model.onnx", "model.onnx"),
          "circle", "1", "leads nowhere"),
    Wrong("a manifest that is a folder", lambda root: (root / "odd/1/manifest.json").mkdir(parents=True), "odd", "1",
          "manifest.json is a folder"),
    Wrong("a pipe for a manifest", lambda root: _pipe(root / "pipe/1/manifest.json"), "pipe", "1",
          "manifest.json is a pipe, a socket or a device"),
    Wrong("a device for a graph", lambda root: _link(root / "device/1/model.onnx", "/dev/zero"), "device", "1",
          "model.onnx is a pipe, a socket or a device"),
    Wrong("a device for a manifest without a version's folder",
          lambda root: _link(root / "zeros/manifest.json", "/dev/zero"), "zeros", "",
          "manifest.json is a pipe, a socket or a device"),
    Wrong("a pipe for a configuration",
          lambda root: _pipe(write_bare(root, "tube", sum_graph()).parent / "config.pbtxt"),
          "tube", "1", "a pipe, a socket or a device", version_is_opened=True),
    Wrong("a pipe that the manifest lists", _listed_pipe, "listed", "1", "labels.json is listed",
          version_is_opened=True),
    Wrong("a pointer of Git LFS",
          lambda root: _file(root / "lfs/1/model.onnx", b"version https://git-lfs.github.com/spec/v1"),
          "lfs", "1", "pointer of Git LFS", version_is_opened=True),
    Wrong("an empty graph", lambda root: _file(root / "nil/1/model.onnx", b""), "nil", "1", "got an empty file",
          version_is_opened=True),
    Wrong("a web page", lambda root: _file(root / "page/1/model.onnx", b"<html>"), "page", "1", "a page of the web",
          version_is_opened=True),
    Wrong("no graph at all", lambda root: _file(root / "junk/1/model.onnx", b"broken"),
          "junk", "1", "cannot load the graph",
          version_is_opened=True),
    Wrong("a bundle of another name", _renamed, "renamed", "1", "for brightness/1, expected renamed/1",
          version_is_opened=True),
    Wrong("a bundle without a file", lambda root: (write_brightness(root, "half") / "labels.json").unlink(),
          "half", "1",
          "labels.json is listed", version_is_opened=True),
    Wrong("a bundle with a file too many", lambda root: _file(write_brightness(root, "extra") / "x.txt"),
          "extra", "1",
          "x.txt not listed", version_is_opened=True),
    Wrong("a manifest cut off", lambda root: _file(root / "cut/1/manifest.json", b'{"name": "cu'),
          "cut", "1", "manifest.json:",
          version_is_opened=True),
]  # fmt: skip
