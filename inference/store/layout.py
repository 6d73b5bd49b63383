"""How one model's folder is understood: its versions, and a sentence for anything else.

    NAME/3/manifest.json, model.onnx, …     a bundle
    NAME/3/model.onnx                       a graph of somebody else's; also NAME/003/ and NAME/v3/
    NAME/model.onnx, NAME/manifest.json     without a version's folder: version 1, or what the manifest says

A graph alone in its folder may have any name that ends with `.onnx`; `model.onnx/model.onnx` is Triton's form for one
that keeps its weights beside it. Nothing is guessed.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from inference.folder import SPECIAL, Fingerprint, Listing, listing, said_of, shown, version_named
from inference.manifest import NAME_PATTERN
from inference.store.located import GOLDEN_FILE, GRAPH_FILE, MANIFEST_FILE, Located, graph_in, said_in
from inference.triton.config import VersionPolicy
from inference.triton.fields import CONFIG_FILE
from inference.triton.reading import Outline, outline

EXPECTED = f"{MANIFEST_FILE} or {GRAPH_FILE}"

# File formats that people put where a graph belongs. Other files (notes, licences, images) say nothing of a model.
_OTHER_FORMATS = (
    ".pt", ".pth", ".ckpt", ".safetensors", ".pb", ".tflite", ".h5", ".keras", ".pkl", ".joblib", ".plan", ".engine",
    ".mlmodel", ".gguf", ".bin", ".ort", ".pbtxt",
)  # fmt: skip
_PACKED = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


@dataclass(frozen=True, slots=True)
class Fault:
    """Something in the folder of models that is not served as it lies, and why."""

    name: str
    """The model's that it would be, as it may be shown."""
    version: str
    """The name of the version's folder; empty where the model as a whole is meant."""
    reason: str
    path: Path
    serious: bool = True
    """Whether somebody meant a model by it; nothing in a folder of notes looks like one."""
    seen: Fingerprint = ()
    """The files' states, so that two looks can be compared."""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.name, self.version)))


@dataclass(slots=True)
class ModelFolder:
    """The content of one model's folder."""

    name: str
    path: Path
    versions: dict[int, Located] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    policy: VersionPolicy | None = None
    """Which versions its `config.pbtxt` wants served; None where it does not say."""

    @property
    def meant(self) -> bool:
        """Whether somebody meant a model to be served by it."""
        return bool(self.versions) or any(fault.serious for fault in self.faults)

    @property
    def flat(self) -> bool:
        """Whether the graph or manifest lies in it directly, without a version's folder."""
        return any(located.path == self.path for located in self.versions.values())


def read_model(name: str, path: Path) -> ModelFolder:
    """Understand a model's folder; `OSError` where it cannot be read. A version's files are read later."""
    found, said = listing(path), outline(path)
    model = ModelFolder(name, path, policy=said.version_policy)
    _read_versions(model, found, said)
    direct, reason = _content(path, found, Outline() if model.versions else said)
    if direct is not None and model.versions:
        beside = MANIFEST_FILE if direct.graph_file is None else shown(direct.graph_file)
        _add(model, "", f"{beside} lies beside the versions' folders, expected it in one of them")
    elif direct is not None:
        _, version = (direct.graph_file is None and said_in(path)) or (name, 1)
        model.versions[version] = replace(direct, name=name, version=version)
    elif not model.versions and not model.faults:
        deeper = _one_deeper(model, found)
        _add(model, "", deeper or reason, serious=deeper is not None or _looks_meant(model, found))
    return model


def check_name(model: ModelFolder) -> ModelFolder:
    """The same, unless its name cannot be a part of a request's address."""
    if re.match(NAME_PATTERN, model.name):
        return model
    named = "its name can be no part of an address: expected letters, digits, '.', '_' and '-'"
    proposed = _address(model.name)
    reason = f"{named}, such as {proposed}" if proposed else named
    fault = Fault(shown(model.name), "", reason, model.path, model.meant)
    return ModelFolder(model.name, model.path, {}, [fault])


def _address(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("-._")[:128]


def _add(model: ModelFolder, version: str, reason: str, *, serious: bool = True) -> None:
    model.faults.append(Fault(shown(model.name), shown(version), reason, model.path / version, serious))


def _read_versions(model: ModelFolder, found: Listing, said: Outline) -> None:
    for folder in found.broken:
        if version_named(folder) is not None:
            _add(model, folder, f"it is {_broken(model.path, folder)}")
    strangers: list[str] = []
    # The plain name first: of 1, 01 and v1 it is the one that is meant.
    for folder in sorted(found.folders, key=lambda each: (each != str(version_named(each)), each)):
        version = version_named(folder)
        if version is None:
            strangers.append(folder)
            continue
        path = model.path / folder
        content, reason = _content_of(path, said)
        if content is None:
            _add(model, folder, reason)
        elif version in model.versions:
            taken = model.versions[version].path.name
            _add(model, folder, f"it means version {version} as {taken} does, which is served in its place")
        else:
            model.versions[version] = replace(content, name=model.name, version=version)
    for folder in strangers:
        if not is_alias(model.path / folder, model.path) and _content_of(model.path / folder, Outline())[0]:
            reason = "its name is no version: expected a number above 0, such as 1, 001 or v1"
            _add(model, folder, f"{reason}; or, as a model of its own, one folder higher")


def is_alias(path: Path, model: Path) -> bool:
    """Whether it is a link to a folder beside it, as `latest` often is."""
    try:
        return path.is_symlink() and path.resolve().parent == model.resolve()
    except (OSError, RuntimeError):
        return False


def _content_of(path: Path, said: Outline) -> tuple[Located | None, str]:
    """The content of a version's folder, or why it has none; an unreadable folder may hold anything."""
    try:
        return _content(path, listing(path), said)
    except OSError:
        return Located("", 1, path), ""


def _content(path: Path, found: Listing, said: Outline) -> tuple[Located | None, str]:
    """The graph or manifest that lies directly in a folder, not named yet; else why there is none.

    Under a faulty `config.pbtxt` it is whatever is in it: it is refused with the reason, and an ensemble has no files.
    """
    for expected in (MANIFEST_FILE, GRAPH_FILE):
        if expected in found.broken:
            return None, f"{expected} is {_broken(path, expected)}"
        if expected in found.special:
            return None, f"{expected} is {SPECIAL}"
    if MANIFEST_FILE in found.folders:
        return None, f"{MANIFEST_FILE} is a folder, expected a file"
    if MANIFEST_FILE in found.files:
        return Located("", 1, path), ""
    if said.graph_file and said.graph_file not in found.files:
        return None, f"{CONFIG_FILE} names {shown(said.graph_file)}, which is not there"
    graph = said.graph_file or graph_in(found)
    if graph is None and said.faulty:
        return Located("", 1, path, GRAPH_FILE), ""
    if graph is None and GRAPH_FILE in found.folders and (path / GRAPH_FILE / GRAPH_FILE).is_file():
        graph = f"{GRAPH_FILE}/{GRAPH_FILE}"
    if graph is None:
        return None, _why_nothing(path, found)
    # With golden examples it is a bundle, whose manifest may come last.
    return Located("", 1, path, None if GOLDEN_FILE in found.files else graph), ""


def _why_nothing(path: Path, found: Listing) -> str:
    graphs = [name for name in found.files if name.lower().endswith(".onnx")]
    if graphs:
        return f"got {_named(graphs)}, expected one graph, or one named {GRAPH_FILE}"
    for folder in found.folders:
        if _direct_in(path / folder):
            return f"what it holds lies one folder too deep, in {shown(folder)}: expected {EXPECTED} here"
    if found.broken:
        return f"{shown(found.broken[0])} is {_broken(path, found.broken[0])}, expected {EXPECTED}"
    for endings, what in ((_OTHER_FORMATS, "no ONNX graph"), (_PACKED, "packed")):
        others = [name for name in found.files if name.lower().endswith(endings) and name != CONFIG_FILE]
        if others:
            return f"got {_named(others)}, which is {what}, expected {EXPECTED}"
    if others := [*found.files, *found.folders, *found.special]:
        return f"got {_named(others)}, expected {EXPECTED}"
    return f"it is empty, expected {EXPECTED}"


def _one_deeper(model: ModelFolder, found: Listing) -> str | None:
    """The fault of a folder of models within the folder of models; None where there is none."""
    for folder in found.folders:
        for version in _folders_in(model.path / folder):
            if version_named(version) is not None and _direct_in(model.path / folder / version):
                deeper = shown(f"{folder}/{version}")
                return (
                    f"a model lies one folder too deep, in {deeper}: "
                    f"expected {shown(folder)} beside this folder, or --models at this one"
                )
    return None


def _looks_meant(model: ModelFolder, found: Listing) -> bool:
    """Whether a folder without a version looks as if somebody meant a model to be served."""
    formats = (".onnx", *_OTHER_FORMATS, *_PACKED)
    return (
        bool(found.broken or found.special)
        or any(name.lower().endswith(formats) for name in found.files)
        or any(_direct_in(model.path / folder) for folder in found.folders)
    )


def _direct_in(path: Path) -> bool:
    try:
        found = listing(path)
    except OSError:
        return False
    return MANIFEST_FILE in found.files or graph_in(found) is not None


def _folders_in(path: Path) -> Iterator[str]:
    try:
        yield from listing(path).folders
    except OSError:
        return


def _broken(folder: Path, name: str) -> str:
    try:
        target = shown(str((folder / name).readlink()))
    except OSError as error:
        return f"a link that cannot be followed ({said_of(error)})"
    return f"a link to {target}, which leads nowhere"


def _named(names: list[str]) -> str:
    """Three of them, so that a sentence stays one."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return shown(", ".join(names[:3])) + more


def fault_of_file(path: Path) -> Fault | None:
    """Why a file directly in the folder of models is not served; None for a file that is no model."""
    expected = f"expected {_address(path.stem) or 'NAME'}/{GRAPH_FILE}"
    for endings, what in (
        ((".onnx",), "a graph wants a folder of its own"),
        (_PACKED, "it is packed"),
        (_OTHER_FORMATS, "it is no ONNX graph in a folder of its own"),
    ):
        if path.name.lower().endswith(endings):
            return Fault(shown(path.name), "", f"{what}, {expected}", path)
    return None
