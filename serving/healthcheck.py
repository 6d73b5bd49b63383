"""`python -m serving.healthcheck [ready|live]`: the health check of a container; exit status 0 or 1.

It asks the server of the same container over HTTP with nothing but the standard library, since it runs
every few seconds beside the server: no framework is imported. Where the server speaks TLS, so does this; it shows
the server's own certificate where the server expects one of its clients.
"""

import http.client
import os
import sys
from collections.abc import Sequence

TIMEOUT_S = 2.0  # below the 3 s of the Dockerfile's HEALTHCHECK, so that the reason is printed
PROBES = ("ready", "live")


def main(argv: Sequence[str]) -> int:
    """Ask the server on `BATON_PORT`; `ready` unless `live` is named."""
    probe = argv[0] if argv else PROBES[0]
    if probe not in PROBES or len(argv) > 1:
        print(f"usage: python -m serving.healthcheck [{'|'.join(PROBES)}]", file=sys.stderr)
        return 2
    host, port = _address()
    try:
        connection = _connection(host, port)
    except OSError as error:
        print(f"{probe}: the certificate cannot be read: {error}")
        return 1
    try:
        connection.request("GET", f"/v2/health/{probe}")
        answer = connection.getresponse()
        body = answer.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        print(f"{probe}: {host}:{port}: {error}")
        return 1
    finally:
        connection.close()
    print(f"{probe}: {answer.status} {body}")
    return 0 if answer.status == http.client.OK else 1


def _connection(host: str, port: int) -> http.client.HTTPConnection:
    cert, key = os.environ.get("BATON_TLS_CERT"), os.environ.get("BATON_TLS_KEY")
    if not cert or not key:
        return http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    import ssl  # its import takes as long as all the rest

    context = ssl.create_default_context()
    # It asks its own container, by an address that is in no certificate.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if os.environ.get("BATON_TLS_CA"):
        context.load_cert_chain(cert, key)
    return http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)


def _address() -> tuple[str, int]:
    """Where the server of this container listens, as its own settings have it."""
    host = os.environ.get("BATON_HOST", "127.0.0.1")
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104
    return everywhere.get(host, host), int(os.environ.get("BATON_PORT", "8000"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
