"""Files of keys: written whole, for their owner alone, and known by what the file system says of them."""

import os
import stat
from pathlib import Path


def write(path: Path, document: bytes) -> None:
    """Whoever reads meanwhile reads the old file or the new one, whole. Raises OSError."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(document)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def is_open(path: Path) -> bool:
    """Whether others than its owner may read or write it. Raises OSError."""
    return bool(path.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH))


def identity_of(path: Path) -> tuple[int, ...]:
    """Another one when the file is another one, which takes a microsecond to ask. Raises OSError."""
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size
