"""The hash chain of an account's entries: each hash covers the one before, so that no entry is changed alone."""

import hashlib
import json
from typing import Final, NamedTuple

from authsvc.audit.shapes import NOBODY, Entry, Head

# Before the first entry of a chain.
GENESIS: Final = bytes(32)
# Names what is hashed and how; another layout would be another name.
_LAYOUT: Final = "authsvc.audit.1"


class Verdict(NamedTuple):
    """What became of a chain. `broken_id` is the first entry that is not as it was written, None when all are."""

    account_id: int
    entries: int
    broken_id: int | None
    why: str


def text_of(entry: Entry) -> str:
    """What is hashed of an entry: a JSON array, written as PostgreSQL's json_build_array does."""
    return json.dumps([_LAYOUT, *entry[:-2]], ensure_ascii=False, separators=(", ", ": "))


def hash_of(entry: Entry) -> bytes:
    """SHA-256 over the hash before and the entry's text."""
    return hashlib.sha256(entry.previous_hash + text_of(entry).encode()).digest()


class Walk:
    """Follows one chain from its first entry to its end."""

    def __init__(self, account_id: int) -> None:
        """At the beginning of this account's chain (NOBODY: the one of no account)."""
        self._account_id = account_id
        self._entries = 0
        self._last_id: int | None = None
        self._last_hash = GENESIS
        self._broken: tuple[int, str] | None = None

    def add(self, entry: Entry) -> None:
        """The next entry, by id."""
        if self._broken is None:
            if entry.previous_hash != self._last_hash:
                self._broken = entry.id, "what stood before it was removed, changed or put there later"
            elif hash_of(entry) != entry.hash:
                self._broken = entry.id, "it was changed"
        self._entries += 1
        self._last_id, self._last_hash = entry.id, entry.hash

    def end(self, head: Head | None) -> Verdict:
        """Nothing follows; the head tells whether something should."""
        broken = self._broken or self._compared(head)
        return Verdict(self._account_id, self._entries, *(broken or (None, "")))

    def _compared(self, head: Head | None) -> tuple[int, str] | None:
        if head is None:
            return self._last_id or 0, "nothing tells where its chain ends"
        if (head.entries, head.last_id or 0, head.last_hash) == (self._entries, self._last_id or 0, self._last_hash):
            return None
        if head.entries > self._entries:
            missing = head.entries - self._entries
            return head.last_id or 0, f"it is gone: the last {missing} of {head.entries} entries are cut off"
        if head.entries < self._entries:
            return self._last_id or 0, f"it was put there later: the chain ends at {head.last_id}"
        return self._last_id or 0, "the chain's head tells of another end"


def chain_of(entry: Entry) -> int:
    """The account whose chain the entry is in."""
    return NOBODY if entry.account_id is None else entry.account_id
