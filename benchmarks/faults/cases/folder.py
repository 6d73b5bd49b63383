"""The folder of models: whatever lies in it or happens to it costs the entry that it happens to, and no other."""

import json
import os
import random
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.faults.bench import ROOT, Bench, Server
from benchmarks.faults.matrix import case, expect

_POLL = ("--poll-s", "0.2")
_TOKEN = "a token of the matrix"  # noqa: S105 - of servers that live for seconds
_ADMIN = ("--admin-token", _TOKEN)
_SECONDS = 20.0
_GRAPH = next((ROOT / "models" / "retail").glob("*/model.onnx"))


def _bundle(root: Path, name: str, version: int, source: str = "retail") -> Path:
    """A shipped bundle under another name and number, put there in one step."""
    (shipped,) = (ROOT / "models" / source).iterdir()
    hidden = root / f".{name}-{version}"
    shutil.copytree(shipped, hidden)
    manifest = hidden / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "name": name, "version": version}))
    (root / name).mkdir(exist_ok=True)
    return hidden.rename(root / name / str(version))


def _bare(root: Path, name: str, version: str = "1") -> Path:
    """A graph without a manifest."""
    folder = root / name / version
    folder.mkdir(parents=True)
    shutil.copy(_GRAPH, folder / "model.onnx")
    return folder


def _reasons(server: Server) -> dict[str, str]:
    """By name/version, the reason of each entry of the index that does not serve."""
    entries = server.post("/v2/repository/index", {}).json
    return {
        f"{one['name']}/{one['version']}": one["reason"] or "(no reason)"
        for one in entries
        if one["state"] == "UNAVAILABLE"
    }


def _versions(server: Server, model: str) -> list[str]:
    answer = server.get(f"/v2/models/{model}")
    return list(answer.json["versions"]) if answer.status == 200 else []


def _takes_over(server: Server, root: Path, model: str, version: int) -> bool:
    """Whether a version that is published now serves."""
    _bundle(root, model, version)
    return server.wait(lambda: _versions(server, model) == [str(version)], _SECONDS)


def _order(server: Server, verb: str, model: str, timeout_s: float = _SECONDS) -> tuple[int, str]:
    answer = server.post(
        f"/v2/repository/models/{model}/{verb}",
        b"",
        headers={"Authorization": f"Bearer {_TOKEN}"},
        timeout_s=timeout_s,
    )
    return answer.status, answer.body.decode()


def _each_costs_itself(bench: Bench, made: dict[str, Callable[[Path], object]], *flags: str) -> str:
    """Entries beside a good model: it serves, each of them is named, and what comes later is seen."""
    models = bench.models("retail")
    for name, make in made.items():
        make(models / name)
    with bench.serve(models, *_POLL, *flags, ready=False) as server:
        expect(server.wait(lambda: server.serves("retail"), _SECONDS), "the good model does not serve")
        expect(server.wait(server.is_ready, _SECONDS), "the good model serves, and readiness is not 200")
        named = " ".join(f"{entry}: {why}" for entry, why in _reasons(server).items())
        silent = [name for name in made if name not in named]
        expect(not silent, f"no entry of the index names {silent}")
        log = server.log()
        unsaid = [name for name in made if name not in log]
        expect(not unsaid, f"no line of the log names {unsaid}")
        expect(_takes_over(server, models, "retail", 1000), "what was published later is never seen")
        return f"{len(made)} entries named, the good model serves, and so does what came later"


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _fifo(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)


def _unix_socket(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The name of a socket is short, so it is bound from its own folder.
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(".", os.O_RDONLY)
        try:
            os.chdir(path.parent)
            bound.bind(path.name)
        finally:
            os.fchdir(here)
            os.close(here)


@case(
    "links to nowhere, to themselves and around in a circle, as models, versions and files",
    "each is named; the rest serves",
)
def links_that_lead_nowhere(bench: Bench) -> str:
    return _each_costs_itself(
        bench,
        {
            "away": lambda path: _link(path, "/nowhere/at/all"),
            "within": lambda path: _link(path / "1/w", "nowhere"),
            "graph": lambda path: _link(path / "1/model.onnx", "../../nowhere"),
            "version": lambda path: _link(path / "1", "nowhere"),
            "itself": lambda path: _link(path / "1/model.onnx", "model.onnx"),
            "loop": lambda path: _link(path, "loop"),
            "circle": lambda path: _link(path / "1", "../circle"),
        },
    )


@case("the same with two workers", "each is named; the rest serves")
def links_that_lead_nowhere_and_two_workers(bench: Bench) -> str:
    return _each_costs_itself(
        bench,
        {
            "within": lambda path: _link(path / "1/w", "nowhere"),
            "version": lambda path: _link(path / "1", "nowhere"),
            "squared": lambda path: _bare(path.parent, "squared", "²"),
        },
        "--workers",
        "2",
    )


@case("versions named `²`, `１`, `-1`, `0`, 200 digits and with a line break; models named with a line break, with "
      "bytes that are no text, and with 255 letters", "each is named; the rest serves")  # fmt: skip
def names_that_are_none(bench: Bench) -> str:
    names = {"²": "squared", "１": "wide", "-1": "minus", "0": "zero", "9" * 200: "long", "1\n2": "broken"}
    made: dict[str, Callable[[Path], object]] = {
        model: lambda path, version=version: _bare(path.parent, path.name, version)  # type: ignore[misc]
        for version, model in names.items()
    }
    made["x" * 255] = lambda path: _bare(path.parent, path.name)
    made["lines"] = lambda path: _bare(path.parent, "two\nlines")
    made["bytes"] = lambda path: _bare(path.parent, os.fsdecode(b"bytes\xff\xfe"))
    return _each_costs_itself(bench, made)


@case("a folder in the place of a manifest, a graph and a configuration, a file in the place of a version",
      "each is named; the rest serves")  # fmt: skip
def folders_for_files_and_files_for_folders(bench: Bench) -> str:
    def config(path: Path) -> None:
        (_bare(path.parent, path.name).parent / "config.pbtxt").mkdir()

    def version(path: Path) -> None:
        path.mkdir()
        (path / "1.onnx").mkdir()
        (path / "1").write_bytes(_GRAPH.read_bytes()[:100])

    return _each_costs_itself(
        bench,
        {
            "manifest": lambda path: (path / "1/manifest.json").mkdir(parents=True),
            "graph": lambda path: (path / "1/model.onnx").mkdir(parents=True),
            "config": config,
            "version": version,
        },
    )


@case("pipes, sockets and devices in the place of manifests, graphs and configurations",
      "each is named and none is opened; the rest serves")  # fmt: skip
def pipes_sockets_and_devices(bench: Bench) -> str:
    def listed(path: Path) -> None:
        labels = _bundle(path.parent, path.name, 1) / "golden.json"
        labels.unlink()
        os.mkfifo(labels)

    return _each_costs_itself(
        bench,
        {
            "pipe-manifest": lambda path: _fifo(path / "1/manifest.json"),
            "pipe-flat": lambda path: _fifo(path / "manifest.json"),
            "pipe-graph": lambda path: _fifo(path / "1/model.onnx"),
            "pipe-config": lambda path: _fifo(_bare(path.parent, path.name).parent / "config.pbtxt"),
            "pipe-listed": listed,
            "socket-manifest": lambda path: _unix_socket(path / "1/manifest.json"),
            "zeros-manifest": lambda path: _link(path / "1/manifest.json", "/dev/zero"),
            "zeros-graph": lambda path: _link(path / "1/model.onnx", "/dev/zero"),
            "zeros-config": lambda path: _link(
                _bare(path.parent, path.name).parent / "config.pbtxt", "/dev/zero"
            ),
        },
    )


@case("10,000 files in a version, 10,000 beside the models and 2,000 empty folders",
      "the good model serves; what came later too", short=False)  # fmt: skip
def huge_folders(bench: Bench) -> str:
    def many(path: Path) -> None:
        (path / "1").mkdir(parents=True)
        for number in range(10_000):
            (path / f"1/{number}.txt").touch()
            (path.parent / f"{number}.txt").touch()
        for number in range(2_000):
            (path.parent / f"empty-{number}").mkdir()

    return _each_costs_itself(bench, {"huge": many})


@case("models whose names differ in their letters' case alone", "each answers under its own name")
def names_that_differ_in_case(bench: Bench) -> str:
    models = bench.models("retail")
    _bundle(models, "Retail", 7)
    _bundle(models, "RETAIL", 8)
    with bench.serve(models) as server:
        seen = {name: _versions(server, name) for name in ("Retail", "RETAIL")}
        expect(seen == {"Retail": ["7"], "RETAIL": ["8"]}, f"versions {seen}")
        return f"versions {seen}"


def _as_anybody() -> tuple[str, ...]:
    """A prefix for a command without root's right to read everything, where the matrix runs as root."""
    return () if os.geteuid() else ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


@case("a model, a version, a manifest and the whole folder that may not be read, and later may",
      "each is named; then each serves; what serves goes on throughout")  # fmt: skip
def permissions_that_come_and_go(bench: Bench) -> str:
    models = bench.models("retail")
    shut = [_bundle(models, "a-model", 1).parent, _bundle(models, "a-version", 1),
            _bundle(models, "a-manifest", 1) / "manifest.json"]  # fmt: skip
    modes = {path: path.stat().st_mode for path in (*shut, models)}
    names = ["a-model", "a-version", "a-manifest"]
    try:
        for path in shut:
            path.chmod(0)
        with bench.serve(models, *_POLL, ready=False, prefix=_as_anybody()) as server:
            expect(server.wait(lambda: server.serves("retail"), _SECONDS), "the good model does not serve")
            reasons = " ".join(_reasons(server))
            expect(all(name in reasons for name in names), f"the index names {reasons}")
            for path in shut:
                path.chmod(modes[path])
            expect(
                server.wait(lambda: all(map(server.serves, names)), _SECONDS),
                f"readable again, and {[name for name in names if not server.serves(name)]} do not serve",
            )
            models.chmod(0)
            time.sleep(1.0)
            expect(server.serves("retail") and server.is_ready(), "nothing serves while the folder is shut")
            models.chmod(modes[models])
            expect(_takes_over(server, models, "retail", 1000), "what was published later is never seen")
            return "three named and served once they could be read; the folder was shut for a second, all went on"
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


@case(
    "the folder moved away for a second, replaced by an empty one, and back",
    "what serves goes on; later ones are seen",
)
def the_folder_is_away_for_a_look(bench: Bench) -> str:
    models = bench.models("retail", "reviews")
    aside = bench.folder / "aside"
    with bench.serve(models, *_POLL) as server:
        for empty in (False, True):
            models.rename(aside)
            if empty:
                models.mkdir()
            time.sleep(1.0)
            served = [name for name in ("retail", "reviews") if server.serves(name)]
            expect(served == ["retail", "reviews"] and server.is_ready(), f"only {served} serve meanwhile")
            if empty:
                models.rmdir()
            aside.rename(models)
        expect(_takes_over(server, models, "retail", 1000), "what was published later is never seen")
        return "both served while it was away, and while an empty one lay there; then the next version"


@case("the folder is a link, and is turned to another folder; a projected volume's `..data` is turned",
      "the versions behind the link serve")  # fmt: skip
def links_that_are_turned(bench: Bench) -> str:
    first, second, link = bench.folder / "first", bench.folder / "second", bench.folder / "link"
    for root, version in ((first, 1), (second, 2)):
        root.mkdir()
        _bundle(root, "linked", version)
    link.symlink_to(first)
    for number in (1, 2):
        _bundle(bench.folder, f"volume-{number}", number)
    with bench.serve(link, *_POLL) as server:
        expect(_versions(server, "linked") == ["1"], f"version {_versions(server, 'linked')} behind the link")
        turned = bench.folder / "turned"
        turned.symlink_to(second)
        turned.rename(link)
        expect(
            server.wait(lambda: _versions(server, "linked") == ["2"], _SECONDS),
            "the link was turned, 1 serves on",
        )
        volume = second / "mounted"
        volume.mkdir()
        for number in (1, 2):
            data = volume / f"..data_{number}"
            data.mkdir()
            _bundle(data, "mounted", number)
            new = volume / "..data_tmp"
            new.symlink_to(data.name)
            new.rename(volume / "..data")
            (volume / str(number)).symlink_to(f"..data/mounted/{number}")
            expect(
                server.wait(lambda: _versions(server, "mounted") == [str(number)], _SECONDS),  # noqa: B023
                f"the volume was turned to {number}, and {_versions(server, 'mounted')} serves",
            )
        return "the version behind each link served after it was turned"


@case("the version beside the one that loads is deleted, then that which loads; then one is published",
      "the one published last serves")  # fmt: skip
def versions_deleted_while_one_loads(bench: Bench) -> str:
    models = bench.models()
    _bundle(models, "photo", 1, "photos")
    _bundle(models, "photo", 2, "photos")
    with bench.serve(models, "--poll-s", "0.05", *_ADMIN) as server:
        for version, gone in ((3, 1), (4, 2), (5, 5), (6, 3)):
            _bundle(models, "photo", version, "photos")
            server.wait(lambda: f"photo/{version}" in _loading(server), 2.0)  # noqa: B023
            shutil.rmtree(models / "photo" / str(gone), ignore_errors=True)
        _bundle(models, "photo", 7, "photos")
        expect(
            server.wait(lambda: _versions(server, "photo") == ["7"], _SECONDS),
            f"7 was published, {_versions(server, 'photo')} serves",
        )
        expect("Traceback" not in server.log(), f"a traceback: {server.log()[-200:]}")
        return "7 serves, and there is no traceback"


def _loading(server: Server) -> list[str]:
    entries = server.post("/v2/repository/index", {}).json
    return [f"{one['name']}/{one['version']}" for one in entries if one["state"] == "LOADING"]


@case("`load` of a version with a broken graph; of a model whose folder is gone; of one that never was; with 1 and 2 "
      "workers", "409 with the reason; 404; 404")  # fmt: skip
def load_of_what_is_refused(bench: Bench) -> str:
    seen = []
    for workers in ("1", "2"):
        models = bench.folder / f"models-{workers}"
        models.mkdir()
        _bundle(models, "shop", 1)
        _bundle(models, "gone", 1)
        with bench.serve(models, *_ADMIN, "--workers", workers) as server:
            broken = models / "shop" / "2"
            broken.mkdir()
            (broken / "model.onnx").write_text("broken")
            shutil.rmtree(models / "gone")
            seen += [
                _order(server, "load", "shop"),
                _order(server, "load", "gone"),
                _order(server, "load", "never"),
            ]
            expect(_versions(server, "shop") == ["1"], f"{_versions(server, 'shop')} serves")
    statuses = [status for status, _ in seen]
    expect(statuses == [409, 404, 404] * 2, f"statuses {statuses}")
    expect(all("version 2" in reason for status, reason in seen if status == 409), f"{seen[0][1]}")
    return "409 that names version 2, 404, 404, with one and two workers"


@case(
    "the served graph is overwritten with rubbish, then `load`; then with a good one",
    "409, the old one answers; 200",
)
def a_served_graph_is_overwritten(bench: Bench) -> str:
    models = bench.models()
    graph = _bare(models, "bare") / "model.onnx"
    good = graph.read_bytes()
    with bench.serve(models, *_ADMIN) as server:
        graph.write_bytes(b"broken")
        first = _order(server, "load", "bare")
        serves = server.serves("bare")
        graph.write_bytes(good)
        second = _order(server, "load", "bare")
        seen = f"{first[0]} ({first[1][:60]}), it serves: {serves}; then {second[0]}"
        expect((first[0], serves, second[0]) == (409, True, 200), seen)
        return seen


@case("with two workers: `load`, `unload` and `index` beside one another and beside looks at broken entries, 6 callers",
      "each is answered within 20 s")  # fmt: skip
def orders_beside_one_another(bench: Bench) -> str:
    models = bench.models("retail")
    _link(models / "foo/1/w", "nowhere")
    _bare(models, "squared", "²")
    statuses: list[int] = []
    failed: list[str] = []

    def caller(number: int) -> None:
        try:
            for turn in range(3):
                verb = "unload" if (number + turn) % 3 == 0 else "load"
                statuses.append(_order(server, verb, "retail")[0])
                server.post("/v2/repository/index", {})
        except OSError as error:
            failed.append(f"{type(error).__name__}: {error}")

    with bench.serve(models, *_POLL, *_ADMIN, "--workers", "2", ready=False) as server:
        expect(server.wait(lambda: server.serves("retail"), _SECONDS), "the good model does not serve")
        callers = [threading.Thread(target=caller, args=(number,)) for number in range(6)]
        for each in callers:
            each.start()
        for each in callers:
            each.join()
        expect(not failed, f"not answered: {failed[:2]}")
        expect(set(statuses) <= {200, 404, 503}, f"statuses {sorted(set(statuses))}")
        expect(_order(server, "load", "retail")[0] == 200, "the last load is not 200")
        return f"{len(statuses)} orders answered, the last load with 200"


@case("a refused version, and a whole model, taken away", "the index and /metrics forget them; no traceback")
def what_is_gone_is_forgotten(bench: Bench) -> str:
    models = bench.models("retail", "reviews")
    with bench.serve(models, *_POLL) as server:
        broken = models / "retail" / "900"
        broken.mkdir()
        (broken / "model.onnx").write_text("broken")
        expect(
            server.wait(lambda: "retail/900" in _reasons(server), 40.0), "the bad version is never refused"
        )
        shutil.rmtree(broken)
        shutil.rmtree(models / "reviews")
        ours = r'baton_model_state\{.*(version="900"|model="reviews").*\}'
        gone = server.wait(lambda: _entries(server) == 1 and not _series(server, ours), _SECONDS)
        expect(gone, f"the index still has {_entries(server)} entries: {_reasons(server)}")
        expect(server.is_ready(), "not ready without the model that was taken away")
        expect("Traceback" not in server.log(), f"a traceback: {server.log()[-200:]}")
        return "both forgotten"


def _entries(server: Server) -> int:
    return len(server.post("/v2/repository/index", {}).json)


def _series(server: Server, pattern: str) -> bool:
    lines = server.get("/metrics").body.decode().splitlines()
    return any(re.match(pattern, line) for line in lines)


@case(
    "a model of 100 MB is published and deleted",
    "RSS is within 10 % of before, and no traceback",
    short=False,
)
def a_deleted_model_gives_its_memory_back(bench: Bench) -> str:
    from benchmarks.graphs import write_mlp

    models = bench.models("retail")
    with bench.serve(models, *_POLL) as server:
        write_mlp(models, "warm", (64, 64, 10))
        expect(server.wait(lambda: server.serves("warm"), 60.0), "a small model does not serve")
        _settle(server)
        before = server.rss_bytes()
        write_mlp(bench.folder / "made", "heavy", (64, 5200, 5200, 10))
        (bench.folder / "made/heavy").rename(models / "heavy")
        expect(server.wait(lambda: server.serves("heavy"), 60.0), "the model does not serve")
        _settle(server)
        during = server.rss_bytes()
        shutil.rmtree(models / "heavy")
        expect(server.wait(lambda: not server.serves("heavy"), _SECONDS), "the deleted model serves on")
        given_back = server.wait(lambda: server.rss_bytes() <= 1.1 * before, _SECONDS)
        mib = [f"{value / 2**20:.0f}" for value in (before, during, server.rss_bytes())]
        seen = f"{mib[0]} MiB before, {mib[1]} with it, {mib[2]} after"
        expect(during - before > 80 * 2**20, f"the model is not of 100 MB: {seen}")
        expect(given_back and "Traceback" not in server.log(), seen)
        return seen


def _settle(server: Server) -> None:
    """Until every model is measured, so that nothing else changes the memory."""

    def measured() -> bool:
        models: list[dict[str, Any]] = server.get("/v2/diagnostics").json["models"]
        return bool(models) and all(model.get("measured", True) for model in models)

    server.wait(measured, 60.0)
    time.sleep(1.0)


@case("a bundle, and a bare graph, that come slowly: in halves, with pauses longer than a look",
      "each serves when it is whole; no line says refused")  # fmt: skip
def files_that_come_slowly(bench: Bench) -> str:
    models = bench.models("retail")
    (shipped,) = (ROOT / "models" / "reviews").iterdir()
    with bench.serve(models, *_POLL) as server:
        files = sorted((file for file in shipped.rglob("*") if file.is_file()), key=lambda file: file.name)
        target = models / "reviews" / shipped.name
        for file in files:
            (target / file.relative_to(shipped)).parent.mkdir(parents=True, exist_ok=True)
        graph = models / "bare" / "1" / "model.onnx"
        graph.parent.mkdir(parents=True)
        pieces = _GRAPH.read_bytes()
        for number, file in enumerate(files):
            data = file.read_bytes()
            with (target / file.relative_to(shipped)).open("wb") as written:
                for half in (data[: len(data) // 2], data[len(data) // 2 :]):
                    written.write(half)
                    written.flush()
                    time.sleep(0.03)
            with graph.open("ab") as written:
                written.write(
                    pieces[number * len(pieces) // len(files) : (number + 1) * len(pieces) // len(files)]
                )
            if number in (2, 4):
                time.sleep(1.0)
        expect(
            server.wait(lambda: server.serves("reviews") and server.serves("bare"), _SECONDS),
            "not served when whole",
        )
        expect(server.is_ready(), "readiness fell")
        refused = [line for line in server.log().splitlines() if "refused" in line and "ERROR" in line]
        expect(not refused, f"refused meanwhile: {refused[:1]}")
        return "both serve, and nothing was refused meanwhile"


@case("entries appear, change into links, files and folders, and vanish at random for 6 s, 20 ms apart",
      "the good model answers throughout; what is published last serves")  # fmt: skip
def a_folder_in_turmoil(bench: Bench) -> str:
    draw, models = random.Random(15), bench.models("retail")
    makers: list[Callable[[Path], object]] = [
        lambda path: _bare(path.parent, path.name, draw.choice(["1", "2", "²"])),
        lambda path: _link(path, draw.choice(["nowhere", ".", "..", "/dev/null", path.name])),
        lambda path: path.write_text("a file"),
        lambda path: (path / "1").mkdir(parents=True),
        lambda path: _link(path / "1/model.onnx", "../../nowhere"),
        lambda path: _bundle(path.parent, path.name, draw.randint(1, 3)),
    ]
    answered: list[int] = []
    with bench.serve(models, "--poll-s", "0.05") as server:
        until = time.monotonic() + 6.0
        while time.monotonic() < until:
            path = models / f"m{draw.randint(0, 5)}"
            if path.is_symlink() or path.is_file():
                path.unlink()
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                draw.choice(makers)(path)
            answered.append(server.get("/v2/models/retail/ready").status)
            time.sleep(0.02)
        bad = [status for status in answered if status != 200]
        expect(not bad, f"{len(bad)} of {len(answered)} were not 200")
        expect(_takes_over(server, models, "retail", 1000), "what was published later is never seen")
        return f"{len(answered)} answers, all 200; then the next version"


@case("SIGTERM while a model loads and another is half there", "the process ends with status 0 within 15 s")
def told_to_stop_while_it_loads(bench: Bench) -> str:
    models = bench.models("retail", "photos", "fashion")
    (models / "half/1").mkdir(parents=True)
    (models / "half/1/golden.json").write_text("{}")
    with bench.serve(models, *_POLL, ready=False) as server:
        server.wait(lambda: bool(_loading(server)), 10.0)
        began = time.monotonic()
        status = server.terminate(15.0)
        expect(status == 0, f"status {status}")
        return f"status 0 after {time.monotonic() - began:.1f} s"
