"""What the text of a setting must look like. Each returns what it was given, or raises ValueError."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from authsvc.bridge.signature import key_of

PORT_MAX: Final = 65_535


def listed(text: str) -> list[str]:
    """The parts of a text between commas."""
    return [one.strip() for one in text.split(",") if one.strip()]


def database_url(url: str) -> str:
    """Of PostgreSQL."""
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise ValueError("must start with postgresql://")
    return url


def database_urls(text: str) -> str:
    """Any number of them."""
    for position, url in enumerate(listed(text), start=1):
        try:
            database_url(url)
        except ValueError as error:
            raise ValueError(f"URL {position} {error}") from error
    return text


def redis_url(url: str) -> str:
    """Of Redis or Valkey."""
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must start with redis://, rediss:// or unix://")
    return url


def webhook_url(url: str) -> str:
    """Where something secret is posted: nobody listens on the way."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ValueError("must start with https://, or with http:// on a loopback address")
    if not parts.hostname or "@" in parts.netloc or parts.fragment or not (url.isascii() and url.isprintable()):
        raise ValueError("must name a host, without a user, a password or a fragment")
    return url


def lithic_environment(text: str) -> str:
    """A word, or where else an API key is sent."""
    try:
        return text if text in {"production", "sandbox"} else webhook_url(text)
    except ValueError as error:
        raise ValueError(f"must be production or sandbox; an address {error}") from error


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_and_port(target: str) -> str:
    """HOST:PORT."""
    host, _, port = target.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) <= PORT_MAX):
        raise ValueError("must be HOST:PORT")
    return target


def signing_secret(text: str) -> str:
    """Of webhooks, one."""
    key_of(text)
    return text


def signing_secrets(text: str) -> str:
    """Of webhooks, any number of them."""
    for position, secret in enumerate(listed(text), start=1):
        try:
            key_of(secret)
        except ValueError as error:
            raise ValueError(f"secret {position} {error}") from error
    return text
