"""The gate of predictions: the key of a request, its client's limits, and the counts of refusals."""

from collections.abc import Mapping
from pathlib import Path

from inference.errors import LimitExceeded, Unauthenticated
from serving.access.keys import ApiClient, ApiKeys
from serving.access.refusals import Refusals


class Gate:
    """Lets requests with a key in. Each is asked for twice: `admit` by its head, `enter` when it is whole."""

    def __init__(self, file: Path, processes: int, refusals: Refusals) -> None:
        """`processes`: that share the limits. `KeysRefused` for a file that cannot be used."""
        self.keys = ApiKeys(file, processes)
        self._refusals = refusals

    def admit(self, headers: Mapping[bytes, bytes], address: str) -> None:
        """`Unauthenticated`, or `LimitExceeded` for a client over its limits."""
        try:
            self.keys.identify(headers).admit()
        except (Unauthenticated, LimitExceeded) as error:
            self._note(error, address)
            raise

    def enter(self, headers: Mapping[bytes, bytes], address: str) -> ApiClient:
        """The client, whose `leave` has to be called when the request is answered; errors as of `admit`."""
        try:
            client = self.keys.identify(headers)  # again: the key may have been taken back since
            client.enter()
        except (Unauthenticated, LimitExceeded) as error:
            self._note(error, address)
            raise
        return client

    def _note(self, error: Unauthenticated | LimitExceeded, address: str) -> None:
        if isinstance(error, Unauthenticated):
            self._refusals.note("key", str(error), address)
        else:  # a client that we know is no matter for the log
            self._refusals.count("limit")
