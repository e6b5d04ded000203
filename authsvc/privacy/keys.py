"""The keys of what is known of people: a file, or a variable, that the database and its backups never hold.

`{"current": 2, "keys": {"1": …, "2": …}, "index": …}`, each key 32 bytes in base64.
"""

import base64
import binascii
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from authsvc import secret_files
from authsvc.errors import StartupRefused
from authsvc.privacy.sealing import KEY_BYTES, Chance, Keys, Sealer
from authsvc.settings import Settings

# Where `authsvc serve` keeps the keys of its embedded database, in AUTHSVC_DATA_DIR.
FILE_NAME: Final = "privacy-keys.json"
_BAD: Final = "it is no set of privacy keys: `authsvc privacy new-key` makes one"
_log = logging.getLogger(__name__)


class Privacy:
    """What seals now. A file that can no longer be read leaves what it held before."""

    def __init__(self, path: Path | None, text: str, chance: Chance) -> None:
        """The keys of the file, else of the text, else none. Raises StartupRefused when they are no good."""
        self._path = path
        self._chance = chance
        self._read_of: tuple[int, ...] = ()
        try:
            if path is not None:
                self._read_of = secret_files.identity_of(path)
                self._sealer = Sealer(read(path), chance)
            else:
                self._sealer = Sealer(parse(text.encode()) if text else None, chance)
        except (OSError, ValueError) as error:
            raise StartupRefused(f"the privacy keys cannot be read: {_why(error)}") from error

    def sealer(self) -> Sealer:
        """For one piece of work."""
        if self._path is None:
            return self._sealer
        try:
            found = secret_files.identity_of(self._path)
            if found != self._read_of:
                self._read_of = found
                self._sealer = Sealer(read(self._path), self._chance)
                _log.info("privacy keys read", extra={"current": self._sealer.version})
        except (OSError, ValueError) as error:
            _log.error("the privacy keys cannot be read; those read before stay", extra={"why": _why(error)})
        return self._sealer


def privacy_of(settings: Settings, chance: Chance) -> Privacy:
    """With the keys that the settings name, or those of the embedded database. Raises StartupRefused."""
    path, own = settings.privacy_keys_file, settings.data_dir / FILE_NAME
    if path is None and not settings.privacy_keys and settings.embedded and own.exists():
        path = own
    return Privacy(path, settings.privacy_keys, chance)


def parse(document: bytes) -> Keys:
    """Raises ValueError, which tells nothing of a key."""
    try:
        said: Mapping[str, Any] = orjson.loads(document)
        by_version = {int(version): _key(text) for version, text in said["keys"].items()}
        keys = Keys(said["current"], by_version, _key(said["index"]))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(_BAD) from error
    if keys.current not in by_version or any(version < 1 for version in by_version):
        raise ValueError("its current key is not among its keys, which are numbered from 1 on")
    if len({*by_version.values(), keys.index_key}) <= len(by_version):
        raise ValueError("two of its keys are the same")
    return keys


def read(path: Path) -> Keys:
    """The keys of a file. Raises OSError and ValueError."""
    keys = parse(path.read_bytes())
    if secret_files.is_open(path):
        _log.warning("others than its owner may read or write the file of privacy keys")
    return keys


def add(path: Path, chance: Chance) -> Keys:
    """One more key, which opens but does not seal before `use`. The first one seals. Makes the file."""
    if path.exists():
        old = read(path)
        by_version = {**old.by_version, max(old.by_version) + 1: chance(KEY_BYTES)}
        keys = old._replace(by_version=by_version)
    else:
        keys = Keys(1, {1: chance(KEY_BYTES)}, chance(KEY_BYTES))
    _write(path, keys)
    return keys


def use(path: Path, version: int) -> Keys:
    """From now on this one seals. Raises ValueError when there is none of that version."""
    keys = read(path)
    if version not in keys.by_version:
        raise ValueError(f"there is no key {version}: {', '.join(map(str, sorted(keys.by_version)))}")
    keys = keys._replace(current=version)
    _write(path, keys)
    return keys


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(_BAD) from None
    if len(key) != KEY_BYTES:
        raise ValueError(_BAD)
    return key


def _write(path: Path, keys: Keys) -> None:
    document = {
        "current": keys.current,
        "keys": {str(version): base64.b64encode(key).decode() for version, key in sorted(keys.by_version.items())},
        "index": base64.b64encode(keys.index_key).decode(),
    }
    secret_files.write(path, orjson.dumps(document, option=orjson.OPT_INDENT_2))


def _why(error: Exception) -> str:
    return (error.strerror or "it cannot be read") if isinstance(error, OSError) else str(error)
