"""The server's side of TLS: its certificate, whom it lets in, and new files without a restart."""

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from authsvc import secret_files
from authsvc.errors import StartupRefused
from authsvc.settings import Settings

_CLEAR_TEXT: Final = (
    "AUTHSVC_HOST={host} can be reached from other machines, and nothing would be encrypted: set AUTHSVC_TLS_CERT_FILE"
    " and AUTHSVC_TLS_KEY_FILE, or, where a proxy or a private network protects the way, AUTHSVC_ALLOW_PLAINTEXT=true"
)
# Of an encrypted key the parser says TypeError.
_ERRORS: Final = (OSError, ValueError, TypeError, UnsupportedAlgorithm)
_log = logging.getLogger(__name__)


def server_credentials_of(settings: Settings) -> grpc.ServerCredentials | None:
    """What the gRPC port needs; None where it speaks plain text.

    Raises StartupRefused when it must not, or when the files are no good.
    """
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        if not (settings.is_loopback or settings.allow_plaintext):
            raise StartupRefused(_CLEAR_TEXT.format(host=settings.host))
        return None
    certificate = Certificate(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)
    is_mutual = settings.tls_client_ca_file is not None
    # The stubs do not know that None stands for no change.
    return grpc.dynamic_ssl_server_credentials(certificate.first, certificate.changed, is_mutual)  # type: ignore[arg-type]


class Certificate:
    """The files as they were read last. gRPC asks before each handshake, in threads of its own."""

    def __init__(self, cert_file: Path, key_file: Path, client_ca_file: Path | None) -> None:
        """Raises StartupRefused when they cannot be used."""
        self._paths = [path for path in (cert_file, key_file, client_ca_file) if path is not None]
        self._lock = threading.Lock()
        try:
            self._read_of = _identities_of(self._paths)
            self.first: grpc.ServerCertificateConfiguration = _read(self._paths)
        except _ERRORS as error:
            raise StartupRefused(f"the TLS files cannot be used: {_why(error)}") from error

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """What is to be used from now on; None: what was used before, also when the new files are no good."""
        with self._lock:
            try:
                found = _identities_of(self._paths)
                if found == self._read_of:
                    return None
                # Said once for each state of the files, not once for each caller.
                self._read_of = found
                new = _read(self._paths)
            except _ERRORS as error:
                _log.error("the TLS files cannot be used; the certificate stays", extra={"why": _why(error)})
                return None
            return new


def _read(paths: Sequence[Path]) -> grpc.ServerCertificateConfiguration:
    chain, key, *authorities = [path.read_bytes() for path in paths]
    leaf = x509.load_pem_x509_certificates(chain)[0]
    private = load_pem_private_key(key, password=None)
    der = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if leaf.public_key().public_bytes(*der) != private.public_key().public_bytes(*der):
        raise ValueError("the key is not the certificate's")
    for one in authorities:
        x509.load_pem_x509_certificates(one)
    _log.info("TLS files read", extra={"serial": f"{leaf.serial_number:x}", "expires": str(leaf.not_valid_after_utc)})
    return grpc.ssl_server_certificate_configuration([(key, chain)], authorities[0] if authorities else None)


def _identities_of(paths: Sequence[Path]) -> list[tuple[int, ...]]:
    return [secret_files.identity_of(path) for path in paths]


def _why(error: Exception) -> str:
    """What may be said of it: a parser's words could hold a piece of a key."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error) if str(error).startswith("the key is not") else "not PEM, or not a certificate and its key"
