"""Profiles that workers pass on to each other, so that one measures, alone, for all."""

from pathlib import Path

from serving.engine.profile import Profile, ProfileCache


class SharedProfiles(ProfileCache):
    """Profiles measured here or by another worker, before those that the folder keeps."""

    def __init__(self, folder: Path | None) -> None:
        """`folder` None: nothing is kept beyond the server's end."""
        super().__init__(folder)
        self._known: dict[str, bytes] = {}
        self._fresh: dict[str, bytes] = {}

    def get(self, key: str) -> Profile | None:
        """The profile under `key`, wherever it was measured."""
        known = self._known.get(key)
        return super().get(key) if known is None else Profile.model_validate_json(known)

    def put(self, key: str, profile: Profile) -> None:
        """Keep a profile, for the others too."""
        self._known[key] = self._fresh[key] = profile.model_dump_json().encode()
        super().put(key, profile)

    def learn(self, profiles: dict[str, bytes]) -> None:
        """Take profiles that others measured."""
        self._known.update(profiles)

    def fresh(self) -> dict[str, bytes]:
        """Profiles measured here and not yet passed on."""
        passed, self._fresh = self._fresh, {}
        return passed
