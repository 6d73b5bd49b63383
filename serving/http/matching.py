"""The routes of the fast path: the verb, the model and the version that a path names."""

import re
from typing import Literal

from inference.errors import InvalidInput
from inference.manifest import Manifest
from serving.codec.infer import InferCodec
from serving.engine.codecs import codec_of
from serving.engine.served_model import ServedModel

Verb = Literal["infer", "predict", "explain"]

_MAX_ROUTES = 4096  # remembered: of served models only, but a version may be written 1 or 001

# Versions that are no number above 0 are left to the router, which refuses them.
_PATHS: tuple[tuple[Verb, re.Pattern[str]], ...] = (
    ("infer", re.compile(r"/v2/models/([^/]+)(?:/versions/([1-9][0-9]{0,17}))?/infer")),
    ("predict", re.compile(r"/v1/models/([^/:]+)(?:/versions/([1-9][0-9]{0,17}))?:predict")),
    ("explain", re.compile(r"/v1/models/([^/:]+)(?:/versions/([1-9][0-9]{0,17}))?:explain")),
)


class Route:
    """The verb, model and version of a path, and the codec of the version that answers it now."""

    __slots__ = ("_codec", "_manifest", "known", "name", "path", "verb", "version")

    def __init__(self, verb: Verb, name: str, version: int | None, path: str = "") -> None:
        """`path`: as the client wrote it; "" if that is not to be remembered."""
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


class Routes:
    """Finds the route of a path, and remembers those of models that are served."""

    def __init__(self, root: str = "") -> None:
        """`root`: the path under which a proxy passes requests on, "" for none."""
        self._root = root
        self._by_path: dict[str, Route] = {}
        self._by_url: dict[bytes, Route] = {}

    def find(self, path: str) -> Route | None:
        """The route of a path; None if it is none of the fast path's."""
        return self._by_path.get(path) or find_route(path, self._root)

    def find_url(self, url: bytes) -> Route | None:
        """The same for a path as it came over the wire; None too where it is escaped, or has a query."""
        route = self._by_url.get(url)
        if route is not None:
            return route
        if b"%" in url or b"?" in url or not url.isascii():
            return None
        return find_route(url.decode("ascii"), self._root)

    def remember(self, route: Route) -> None:
        """Keep the route of a model that is served; one of no model must not be kept, since anybody can ask for it."""
        if len(self._by_path) < _MAX_ROUTES:
            route.known = True
            self._by_path[route.path] = route
            if route.path.isascii():
                self._by_url[route.path.encode()] = route


def find_route(path: str, root: str = "") -> Route | None:
    """The route of a path, under `root` or not; None for every path that is not of the fast path."""
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
