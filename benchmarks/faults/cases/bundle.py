"""Bundles that are not friends: they read nothing outside themselves, and what they say has bounds.

Each case puts a spoiled model beside a good one: the spoiled one is refused by name, and the good one answers.
"""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.faults.bench import Bench, Server
from benchmarks.faults.matrix import case, expect

_GOOD, _BAD = "retail", "reviews"
_VALUES = struct.pack("<4f", 3.0, 3.0, 3.0, 3.0)


def _refused(bench: Bench, words: dict[str, str], *flags: str, good: str = _GOOD) -> str:
    """What was said of each model, where its index entry has the words and the good model answers."""
    with bench.serve(bench.folder / "models", *flags, ready=False) as server:
        expect(server.wait(lambda: server.serves(good)), f"{good} does not serve within 15 s")
        expect(
            server.wait(lambda: _is_decided(server, words)), "they are neither served nor refused within 15 s"
        )
        said = {name: _reason(server, name) for name in words}
        wrong = {name: said[name] for name in words if server.serves(name) or words[name] not in said[name]}
        if wrong:
            name, reason = next(iter(wrong.items()))
            served = "it serves" if server.serves(name) else repr(reason[-90:])
            expect(False, f"{name}: {served}; {len(wrong)} of {len(words)} taken otherwise")
        return f"{len(words)} refused: {next(iter(said.values())).partition('refused: ')[2]}"


def _reason(server: Server, name: str) -> str:
    return " ".join(entry.get("reason", "") for entry in _index(server) if entry["name"] == name)


def _is_decided(server: Server, words: Iterable[str]) -> bool:
    states = {entry["name"]: entry["state"] for entry in _index(server)}
    return all(states.get(name) in ("READY", "UNAVAILABLE") for name in words)


def _index(server: Server) -> list[dict[str, str]]:
    found: list[dict[str, str]] = server.post("/v2/repository/index", {}).json
    return found


def _varint(number: int) -> bytes:
    made = b""
    while number > 0x7F:
        made, number = made + bytes([number & 0x7F | 0x80]), number >> 7
    return made + bytes([number])


def _field(number: int, value: bytes | str | int) -> bytes:
    """A field of Protocol Buffers: a number, or bytes behind their length."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _info(name: str) -> bytes:
    axes = _field(1, _field(2, "N")) + _field(1, _field(1, 4))
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, axes)))


def _node(op: str, inputs: str, output: str, *attributes: bytes) -> bytes:
    parts = b"".join(_field(1, name) for name in inputs.split()) + _field(2, output) + _field(4, op)
    return parts + b"".join(_field(5, each) for each in attributes)


def _graph(location: str) -> bytes:
    """If(true): y = x + w, with w kept in a file; ONNX Runtime reads it in the branch of a node."""
    entry = _field(1, "location") + _field(2, location)
    weight = _field(1, 4) + _field(2, 1) + _field(8, "w") + _field(13, entry) + _field(14, 1)
    then = _field(1, _node("Add", "x w", "a")) + _field(2, "a") + _field(5, weight) + _field(12, _info("a"))
    other = _field(1, _node("Identity", "x", "b")) + _field(2, "b") + _field(12, _info("b"))
    yes = _field(1, "value") + _field(5, _field(2, 9) + _field(9, b"\1")) + _field(20, 4)
    branches = [_field(1, name) + _field(6, part) + _field(20, 5) for name, part in
                (("then_branch", then), ("else_branch", other))]  # fmt: skip
    nodes = _field(1, _node("Constant", "", "c", yes)) + _field(1, _node("If", "c", "y", *branches))
    graph = nodes + _field(2, "g") + _field(11, _info("x")) + _field(12, _info("y"))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 17))


def _bare(models: Path, name: str, location: str) -> Path:
    folder = models / name / "1"
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(_graph(location))
    return folder


def _leak(folder: Path, location: str) -> None:
    """Have a shipped vision model add ten numbers from a file to its probabilities, in a branch of a node."""
    import onnx
    from onnx import TensorProto, helper

    manifest = json.loads((folder / "manifest.json").read_text())
    name = manifest["graphs"][manifest["serve"]]["file"]
    model = onnx.load(str(folder / name))
    graph = model.graph
    for node in graph.node:
        node.output[:] = ["inner" if output == "probabilities" else output for output in node.output]
    weight = TensorProto(name="leak", data_type=1, dims=[10], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value=location)
    shape = [helper.make_tensor_value_info(output, 1, ["N", 10]) for output in ("a", "b")]
    then = helper.make_graph(
        [helper.make_node("Add", ["inner", "leak"], ["a"])], "a", [], shape[:1], [weight]
    )
    other = helper.make_graph([helper.make_node("Identity", ["inner"], ["b"])], "b", [], shape[1:])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    graph.node.append(helper.make_node("Constant", [], ["yes"], value=yes))
    graph.node.append(helper.make_node("If", ["yes"], ["probabilities"], then_branch=then, else_branch=other))
    _relist(folder, name, model.SerializeToString())


def _copy(models: Path, name: str, change: Callable[[Path], object]) -> None:
    """The shipped text model under another name, spoiled."""
    (source,) = (models / _BAD).iterdir()
    folder = models / name / source.name
    shutil.copytree(source, folder)
    _edit(folder, name=name)
    change(folder)


def _edit(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def _relist(folder: Path, name: str, data: bytes) -> None:
    """Another content of a file, with its digest in the manifest."""
    (folder / name).write_bytes(data)
    files = json.loads((folder / "manifest.json").read_text())["files"]
    files[name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    _edit(folder, files=files)


@case(
    "a bundle whose graph keeps weights in a file of the working folder, that its manifest does not list",
    "refused",
)
def weights_in_the_working_folder(bench: Bench) -> str:
    (bench.folder / "w.bin").write_bytes(
        bytes(40)
    )  # where the server is started; zeros, so that golden examples hold
    models = bench.models("fashion", _GOOD)
    (folder,) = (models / "fashion").iterdir()
    _leak(folder, "w.bin")
    return _refused(bench, {"fashion": "keeps weights in 'w.bin'"})


@case(
    "graphs that keep weights at `../w.bin`, at an absolute path, behind a link and in a pipe",
    "each refused by name",
)
def weights_outside(bench: Bench) -> str:
    models = bench.models(_GOOD)
    (models / "w.bin").write_bytes(_VALUES)
    for name, location in {
        "up": "../w.bin",
        "absolute": str(models / "w.bin"),
        "memory": "*/_ORT_MEM_ADDR_/*",
    }.items():
        (_bare(models, name, location).parent / "w.bin").write_bytes(_VALUES)
    (_bare(models, "link", "w.bin") / "w.bin").symlink_to("../../w.bin")
    os.mkfifo(_bare(models, "pipe", "w.bin") / "w.bin")
    return _refused(bench, dict.fromkeys(("up", "absolute", "memory", "link", "pipe"), "keeps weights in"))


@case("a bare graph with its weights in a file beside it", "it serves, with that file")
def weights_beside(bench: Bench) -> str:
    models = bench.models()
    (_bare(models, "beside", "w.bin") / "w.bin").write_bytes(_VALUES)
    (bench.folder / "w.bin").write_bytes(struct.pack("<4f", 9, 9, 9, 9))
    with bench.serve(models) as server:
        asked = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 0]}]}
        answer = server.post("/v2/models/beside/infer", asked)
        seen = answer.json["outputs"][0]["data"] if answer.status == 200 else answer.error
        expect(seen == [3.0] * 4, f"{answer.status}: {seen}")
        return f"200: {seen}"


@case(
    "a link to a folder, an empty folder and a pipe in bundles that do not list them", "each refused by name"
)
def unlisted(bench: Bench) -> str:
    models = bench.models(_GOOD, _BAD)
    _copy(models, "link", lambda folder: (folder / "more").symlink_to("../.."))
    _copy(models, "folder", lambda folder: (folder / "more").mkdir())
    _copy(models, "pipe", lambda folder: os.mkfifo(folder / "more"))
    return _refused(
        bench, {"link": "more/ not listed", "folder": "more/ not listed", "pipe": "more not listed"}
    )


@case("a pipe in the place of the manifest, of the graph and of `config.pbtxt`", "each refused at once")
def pipes(bench: Bench) -> str:
    models = bench.models(_GOOD, _BAD)

    def pipe(name: str) -> Callable[[Path], None]:
        def make(folder: Path) -> None:
            (folder / name).unlink(missing_ok=True)
            os.mkfifo(folder / name)

        return make

    _copy(models, "manifest", pipe("manifest.json"))
    _copy(models, "graph", pipe("model.onnx"))
    _copy(models, "config", pipe("../config.pbtxt"))
    return _refused(bench, dict.fromkeys(("manifest", "graph", "config"), "expected a file"))


@case(
    "manifests of 40 MB, nested 100,000 deep, with a key twice, with NaN, with a number of 5,000 digits",
    "each refused",
)
def manifests_without_end(bench: Bench) -> str:
    models = bench.models(_GOOD, _BAD)

    def text(old: str, new: str) -> Callable[[Path], object]:
        def change(folder: Path) -> None:
            said = (folder / "manifest.json").read_text()
            (folder / "manifest.json").write_text(said.replace(old, new, 1))

        return change

    _copy(models, "long", text('"created"', " " * (40 << 20) + '"created"'))
    _copy(models, "deep", text('"created"', '"deep": ' + "[" * 100_000 + ', "created"'))
    _copy(models, "twice", text('"created"', '"serve": "int8", "created"'))
    _copy(models, "nan", lambda folder: _edit(folder, calibration={"temperature": float("nan")}))
    _copy(models, "digits", text('"created"', '"digits": ' + "9" * 5000 + ', "created"'))
    words = {
        "long": "expected at most", "deep": "at deep", "twice": "serve: got this key twice",
        "nan": "calibration.temperature", "digits": "at digits",
    }  # fmt: skip
    return _refused(bench, words)


@case(
    "manifests with numbers out of their range: pixels, tokens, characters, a batch, a row, a tolerance",
    "each refused",
)
def numbers_out_of_range(bench: Bench) -> str:
    models = bench.models(_GOOD, _BAD)
    (source,) = (models / _BAD).iterdir()
    manifest = json.loads((source / "manifest.json").read_text())
    processor = manifest["processor"]
    row = {**manifest["inputs"][0], "shape": [-1, 1 << 20, 1 << 20]}
    changes: dict[str, dict[str, Any]] = {
        "max_characters": {"processor": {**processor, "max_characters": 10**15}},
        "max_length": {"processor": {**processor, "max_length": 10**9, "length_buckets": [10**9]}},
        "max_batch_size": {"max_batch_size": 10**9},
        "shape": {"inputs": [row]},
        "default": {"conformal": {**manifest["conformal"], "default": "0.5"}},
    }
    for field, change in changes.items():
        _copy(models, field, partial(_edit, **change))

    def tolerate(folder: Path) -> None:
        golden = json.loads((folder / "golden.json").read_text())
        golden["tolerances"]["fp32"]["atol"] = 1e9
        _relist(folder, "golden.json", json.dumps(golden).encode())

    _copy(models, "atol", tolerate)
    return _refused(bench, {field: field for field in (*changes, "atol")})


@case(
    "nonsense in tokenizer.json, labels.json, golden.json and reference.json, with their digests",
    "each refused by name",
)
def documents_of_nonsense(bench: Bench) -> str:
    models = bench.models(_GOOD, _BAD)
    contents = {
        "tokenizer.json": b'{"version": "1.0", "model": {"type": "BPE", "vocab": 7}}',
        "labels.json": b"[" * 100_000,
        "golden.json": b'{"tolerances": {}, "examples": [{"instance": 1, "outputs": {"y": [[1], [1, 2]]}}]}',
        "reference.json": b'{"rows": 1e999}',
    }
    for name, data in contents.items():
        _copy(models, name.partition(".")[0], partial(_relist, name=name, data=data))
    return _refused(bench, {name.partition(".")[0]: name for name in contents})


@case(
    "a graph with one fixed input of 2^32 numbers, and one with an operator of a stranger's",
    "served or refused; the good one answers",
)
def graphs_that_ask_for_much(bench: Bench) -> str:
    models = bench.models(_GOOD)

    def info(name: str, *axes: int) -> bytes:
        shape = b"".join(_field(1, _field(1, axis)) for axis in axes)
        return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))

    def write(name: str, node: bytes, *axes: int) -> None:
        graph = _field(1, node) + _field(2, "g") + _field(11, info("x", *axes)) + _field(12, info("y", *axes))
        folder = models / name / "1"
        folder.mkdir(parents=True)
        domains = _field(8, _field(1, "") + _field(2, 17)) + _field(
            8, _field(1, "some.domain") + _field(2, 1)
        )
        (folder / "model.onnx").write_bytes(_field(1, 8) + _field(7, graph) + domains)

    write("huge", _node("Relu", "x", "y"), 1, 1 << 16, 1 << 16)
    write("magic", _node("Magic", "x", "y") + _field(7, "some.domain"), 1, 4)
    return _refused(bench, {"magic": "the operator Magic of some.domain", "huge": "elements"})


@case(
    "--trust: a signed bundle beside one unsigned, one of a stranger's, one changed behind its signature, a bare graph",
    "only the signed one serves",
)
def only_what_is_signed(bench: Bench) -> str:
    models = bench.models(_GOOD, _BAD)
    for name in ("unsigned", "strange", "changed"):
        _copy(models, name, lambda folder: None)
    _bare(models, "bare", "w.bin")
    made = subprocess.run(
        [sys.executable, "-c", _SIGN, str(bench.folder), str(models)], capture_output=True, text=True
    )
    expect(made.returncode == 0, made.stderr[-150:])
    (changed,) = (models / "changed").iterdir()
    _edit(changed, description="changed behind its signature")
    shutil.rmtree(models / _BAD)
    words = {
        "unsigned": "it is not signed", "strange": "got one by key", "changed": "it is no signature by key",
        "bare": "no manifest.json that could be signed",
    }  # fmt: skip
    return _refused(bench, words, "--trust", str(bench.folder / "ours.pub"))


_SIGN = """
import sys
from pathlib import Path
import minisign
root, models = map(Path, sys.argv[1:])
ours, theirs = minisign.KeyPair.generate(), minisign.KeyPair.generate()
(root / "ours.pub").write_bytes(bytes(ours.public_key) + b"\\n")
for name, pair in {"retail": ours, "strange": theirs, "changed": ours}.items():
    (manifest,) = (models / name).glob("*/manifest.json")
    manifest.with_name("manifest.json.minisig").write_bytes(bytes(pair.secret_key.sign(manifest.read_bytes())) + b"\\n")
"""
"""Signs three bundles, one of them with another key, by the library of the format alone."""


@case(
    "--trust at a file that is no key, with one worker and with two",
    "no start, and a line that names the file",
)
def a_key_that_is_none(bench: Bench) -> str:
    (bench.folder / "k.pub").write_text("nonsense")
    (bench.folder / "models").mkdir()  # where a server looks by default
    seen: list[str] = []
    for workers in ("1", "2"):
        command = [
            sys.executable,
            "-m",
            "baton",
            "serve",
            "--port",
            "0",
            "--workers",
            workers,
            "--trust",
            "k.pub",
        ]
        environment = {**os.environ, "PYTHONPATH": str(bench.checkout)}
        ended = subprocess.run(
            command, cwd=bench.folder, env=environment, capture_output=True, text=True, timeout=60
        )
        seen.append(f"{ended.returncode}: {ended.stderr.strip()[-120:]}")
        expect(ended.returncode == 2 and "k.pub: " in ended.stderr, seen[-1])
    return seen[0]
