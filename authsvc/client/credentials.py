"""What the commands and the bridge present to the service, and whom they trust to be it, as the settings say."""

import ipaddress
from pathlib import Path
from typing import Final, NamedTuple

import grpc

from authsvc.errors import StartupRefused
from authsvc.settings import Settings

_CLEAR_TEXT: Final = (
    "an API key for {target} would travel in the clear: set AUTHSVC_TLS_CA_FILE, or, where a proxy or a private network"
    " protects the way, AUTHSVC_ALLOW_PLAINTEXT=true"
)


class Presented(NamedTuple):
    """Keyword arguments of `AuthorizationClient`."""

    metadata: tuple[tuple[str, str], ...]
    channel_credentials: grpc.ChannelCredentials | None
    server_name: str


def presented_to(target: str, settings: Settings) -> Presented:
    """What goes to `target`, HOST:PORT. Raises StartupRefused when a file cannot be read, or a key would be shown."""
    key = settings.api_key
    if settings.api_key_file is not None:
        key = _read(settings.api_key_file, "AUTHSVC_API_KEY_FILE").decode("ascii", errors="replace").strip()
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise StartupRefused("AUTHSVC_API_KEY_FILE does not hold one word of printable ASCII")
    if key and settings.tls_ca_file is None and not (_is_near(target) or settings.allow_plaintext):
        raise StartupRefused(_CLEAR_TEXT.format(target=target))
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    return Presented(metadata, _channel_credentials_of(settings), settings.tls_server_name)


def _channel_credentials_of(settings: Settings) -> grpc.ChannelCredentials | None:
    if settings.tls_ca_file is None:
        return None
    authorities = _read(settings.tls_ca_file, "AUTHSVC_TLS_CA_FILE")
    key = certificate = None
    if settings.tls_client_key_file is not None and settings.tls_client_cert_file is not None:
        key = _read(settings.tls_client_key_file, "AUTHSVC_TLS_CLIENT_KEY_FILE")
        certificate = _read(settings.tls_client_cert_file, "AUTHSVC_TLS_CLIENT_CERT_FILE")
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartupRefused(f"{name}: {path}: {error.strerror}") from error


def _is_near(target: str) -> bool:
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
