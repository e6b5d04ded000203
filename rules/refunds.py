"""What spend limits get back when money comes back: the account's setting `refund_policy`."""

from enum import StrEnum


class RefundPolicy(StrEnum):
    """Which limits a credit gives room to. A credit belongs to the window of its transaction, like all it counts."""

    RESTORE_LIFETIME = "restore_lifetime"
    NEVER = "never"
    RESTORE_WINDOW = "restore_window"

    def restores(self, *, is_lifetime: bool) -> bool:
        """Whether a credit lowers what a limit has used."""
        return self is RefundPolicy.RESTORE_WINDOW or (is_lifetime and self is RefundPolicy.RESTORE_LIFETIME)
