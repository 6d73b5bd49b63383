"""TLS: the server's certificate and key, clients' certificates where an authority is named, and new files read.

Certificates that are rotated (by cert-manager, by certbot) are read again when their files change. New connections
get the new one; those that exist keep theirs.
"""

import logging
import ssl
from pathlib import Path

from inference.folder import states_of
from serving.settings import Settings

log = logging.getLogger("baton.tls")


class CertificateRefused(Exception):
    """The files cannot be used: names the flag, what came and what was expected."""


class Certificate:
    """The context that connections are made with, over files that may change."""

    def __init__(self, cert: Path, key: Path, ca: Path | None) -> None:
        """`ca`: the authorities whose clients are let in; None lets everybody in. `CertificateRefused`."""
        self._cert, self._key = cert, key
        self._tried = states_of(cert, key)
        self.context = _context(cert, key)
        if ca is not None:
            _load_authorities(self.context, ca, "--tls-ca")
            self.context.verify_mode = ssl.CERT_REQUIRED

    @classmethod
    def of(cls, settings: Settings) -> "Certificate | None":
        """As the settings say; None where they ask for no TLS."""
        cert, key, ca = settings.tls_cert, settings.tls_key, settings.tls_ca
        if cert is None and key is None and ca is None:
            return None
        if cert is None:
            raise CertificateRefused(
                "--tls-cert: got nothing, expected a certificate beside --tls-key or --tls-ca"
            )
        if key is None:
            raise CertificateRefused("--tls-key: got nothing, expected the key of --tls-cert")
        return cls(cert, key, ca)

    def refresh(self) -> None:
        """Read the files again if they have changed; those that cannot be used change nothing, and are logged once."""
        current = states_of(self._cert, self._key)
        if current == self._tried:
            return
        self._tried = current
        try:
            # In a context of its own first: a key that does not fit would leave the one in use without a certificate.
            _context(self._cert, self._key)
            self.context.load_cert_chain(self._cert, self._key)
        except (CertificateRefused, OSError) as error:
            log.error("the old certificate stays: %s", error)
        else:
            log.info("a new certificate from %s", self._cert)


def _context(cert: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), cert, "--tls-cert")
    _read(key, "--tls-key")
    try:
        # Without a password at hand OpenSSL would ask the terminal for one.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (ssl.SSLError, OSError) as error:
        expected = "the key of --tls-cert, in PEM and not encrypted"
        raise CertificateRefused(
            f"--tls-key: got {str(key)!r} ({_reason(error)}), expected {expected}"
        ) from error
    return context


def _load_authorities(context: ssl.SSLContext, file: Path, flag: str) -> None:
    _read(file, flag)
    try:
        context.load_verify_locations(file)
    except (ssl.SSLError, OSError) as error:
        expected = "certificates in PEM"
        raise CertificateRefused(
            f"{flag}: got {str(file)!r} ({_reason(error)}), expected {expected}"
        ) from error


def _read(file: Path, flag: str) -> None:
    try:
        file.read_bytes()
    except OSError as error:
        raise CertificateRefused(
            f"{flag}: got {str(file)!r} ({error.strerror}), expected a file in PEM"
        ) from error


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
