"""The paths of the fast path: which model and version they name, and what to do with it."""

import re
from typing import Literal

from inference.errors import InvalidInput
from inference.manifest import Manifest
from serving.codec.infer import InferCodec
from serving.engine.codecs import codec_of
from serving.engine.served_model import ServedModel

Verb = Literal["infer", "predict", "explain"]

# Versions that are no number above 0 are left to the router, which refuses them.
_PATHS: tuple[tuple[Verb, re.Pattern[str]], ...] = (
    ("infer", re.compile(r"/v2/models/([^/]+)(?:/versions/([1-9][0-9]{0,17}))?/infer")),
    ("predict", re.compile(r"/v1/models/([^/:]+)(?:/versions/([1-9][0-9]{0,17}))?:predict")),
    ("explain", re.compile(r"/v1/models/([^/:]+)(?:/versions/([1-9][0-9]{0,17}))?:explain")),
)


class Route:
    """What a path asks for, and the codec of the version that answers it now."""

    __slots__ = ("_codec", "_manifest", "known", "name", "path", "verb", "version")

    def __init__(self, verb: Verb, name: str, version: int | None, path: str = "") -> None:
        """`path`: as the caller wrote it; "" if that is not to be remembered."""
        self.verb, self.name, self.version, self.path = verb, name, version, path
        self.known = not path
        """Whether the path is remembered already, or need not be."""
        self._manifest: Manifest | None = None
        self._codec: InferCodec | None = None

    def codec(self, model: ServedModel, *, strict: bool = False) -> InferCodec:
        """The codec of `model`, made anew when another version has taken its place. `strict`: its JSON is, too.

        A path may be remembered for longer than a model serves, so no session hangs on it.
        """
        if self._codec is None or self._manifest is not model.manifest:
            self._manifest, self._codec = model.manifest, codec_of(model, strict=strict)
        return self._codec


def find_route(path: str, root: str = "") -> Route | None:
    """The target of a path, under `root` or not; None for every path that is not of the fast path."""
    inside = path.removeprefix(root) if root and path.startswith(f"{root}/") else path
    for verb, pattern in _PATHS:
        found = pattern.fullmatch(inside)
        if found is not None:
            name, version = found.groups()
            return Route(verb, name, None if version is None else int(version), path)
    return None


def parse_version(text: str) -> int:
    """A version as a path gives it; `InvalidInput` where it is not a whole number above 0."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18) or int(text) == 0:
        raise InvalidInput("version", text, "a whole number above 0")
    return int(text)
