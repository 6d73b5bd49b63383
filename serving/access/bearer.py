"""Credentials in a request's headers: bearer tokens as RFC 6750 has them."""

import re
from collections.abc import Mapping

TOKEN = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")
"""A bearer token: `b64token` of RFC 6750, section 2.1."""

_CREDENTIALS = re.compile(rb"bearer +(\S(?:.*\S)?) *", re.IGNORECASE)


def bearer_token(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The token of `Authorization: Bearer TOKEN`; None where there is none, or another scheme.

    The scheme's letters may be large or small (RFC 9110, section 11.1). A token without its scheme is none.
    """
    found = _CREDENTIALS.fullmatch(headers.get(b"authorization", b""))
    return None if found is None else found[1]
