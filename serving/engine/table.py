"""Which versions answer now, and the state of every version that is known. It is used on the event loop only."""

from collections.abc import Mapping

from serving.engine.served_model import IndexEntry, Key, ModelState, ServedModel


class ModelTable:
    """The models that answer, and the index beside them. It loads nothing and logs nothing."""

    def __init__(self) -> None:
        self.answering: dict[tuple[str, int | None], ServedModel] = {}
        """By name and version; None in place of the version for the newest that serves."""
        self._index: dict[Key, IndexEntry] = {}
        self._answered: set[str] = set()
        """The models that have served, and are neither unloaded nor taken away."""

    def served(self) -> list[ServedModel]:
        """Every version that answers, by name and version."""
        keys = sorted((name, version) for name, version in self.answering if version is not None)
        return [self.answering[key] for key in keys]

    def versions(self, name: str) -> list[ServedModel]:
        """Those of one model that answer."""
        return [
            model
            for (known, version), model in self.answering.items()
            if known == name and version is not None
        ]

    def all_that_answered_do(self) -> bool:
        """Whether every model that has served still does."""
        return all((name, None) in self.answering for name in self._answered)

    @property
    def index(self) -> Mapping[Key, IndexEntry]:
        """Every version known."""
        return self._index

    def newest_entry(self, name: str) -> IndexEntry | None:
        """Of a model's versions in the index the newest, which tells why the model does not answer."""
        newest = max((key for key in self._index if key[0] == name), default=None)
        return None if newest is None else self._index[newest]

    def put(self, model: ServedModel) -> ServedModel | None:
        """From now on it answers; the version that it takes the place of."""
        key = (model.name, model.version)
        old = self.answering.get(key)
        self.answering[key] = model
        self.mark(key, ModelState.READY)
        self._answered.add(model.name)
        current = self.answering.get((model.name, None))
        if current is None or current.version <= model.version:
            self.answering[model.name, None] = model
        return old

    def renew(self, model: ServedModel, renewed: ServedModel) -> None:
        """The same version, run otherwise."""
        self.answering[model.name, model.version] = renewed
        if self.answering.get((model.name, None)) is model:
            self.answering[model.name, None] = renewed

    def take_out(self, model: ServedModel) -> None:
        """It answers no new request; the newest of the others does."""
        name = model.name
        del self.answering[name, model.version]
        self.mark((name, model.version), ModelState.DRAINING, "replaced or unloaded")
        if self.answering.get((name, None)) is model:
            newest = max(self.versions(name), key=lambda other: other.version, default=None)
            if newest is None:
                del self.answering[name, None]
            else:
                self.answering[name, None] = newest

    def mark(self, key: Key, state: ModelState, reason: str = "") -> None:
        """The state of a version, as the index tells it."""
        self._index[key] = IndexEntry(*key, state, reason)

    def is_draining(self, key: Key) -> bool:
        """Whether it was taken out and its last requests are not yet known to be answered."""
        entry = self._index.get(key)
        return entry is not None and entry.state is ModelState.DRAINING

    def forget(self, key: Key) -> None:
        """A version that is gone from the index."""
        self._index.pop(key, None)

    def forget_model(self, name: str) -> None:
        """It was unloaded or taken away, so that nobody misses it."""
        self._answered.discard(name)
