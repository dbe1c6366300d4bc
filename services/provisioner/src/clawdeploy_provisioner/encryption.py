"""Encryption at rest: what the provisioner keeps is wrapped with ENCRYPTION_KEY, and for a while with the one before it (law 10)."""

from dataclasses import dataclass, field
from enum import StrEnum

from clawdeploy_common import sealing
from clawdeploy_common.errors import StartRefused


class OpenedBy(StrEnum):
    """Which key opens a row."""

    CURRENT = "current"
    PREVIOUS = "previous"
    NEITHER = "neither"


@dataclass(frozen=True, kw_only=True)
class EncryptionKeys:
    """ENCRYPTION_KEY and, while it is changed, ENCRYPTION_KEY_PREVIOUS: 32 bytes each."""

    current: bytes = field(repr=False)
    previous: bytes | None = field(default=None, repr=False)

    def encrypt(self, plaintext: bytes, *, purpose: bytes) -> bytes:
        """Always with the current key."""
        return sealing.encrypt_at_rest(plaintext, key=self.current, purpose=purpose)

    def decrypt(self, stored: bytes, *, purpose: bytes) -> bytes:
        """With the current key, then with the previous one; raises SealBroken."""
        try:
            return sealing.decrypt_at_rest(stored, key=self.current, purpose=purpose)
        except sealing.SealBroken:
            if self.previous is None:
                raise
            return sealing.decrypt_at_rest(stored, key=self.previous, purpose=purpose)

    def opener(self, stored: bytes, *, purpose: bytes) -> OpenedBy:
        """Which key opens this."""
        if _opens(stored, self.current, purpose):
            return OpenedBy.CURRENT
        if self.previous is not None and _opens(stored, self.previous, purpose):
            return OpenedBy.PREVIOUS
        return OpenedBy.NEITHER

    def refusal(self) -> StartRefused:
        """What to tell when nothing opens."""
        if self.previous is None:
            return StartRefused(
                "ENCRYPTION_KEY is not the key that this platform's rows are encrypted with. Put that one back; "
                "to change it, set ENCRYPTION_KEY_PREVIOUS to it and ENCRYPTION_KEY to the new one."
            )
        return StartRefused(
            "This platform's rows open neither with ENCRYPTION_KEY nor with ENCRYPTION_KEY_PREVIOUS. "
            "Set ENCRYPTION_KEY_PREVIOUS to the key that was ENCRYPTION_KEY before."
        )


def _opens(stored: bytes, key: bytes, purpose: bytes) -> bool:
    try:
        sealing.decrypt_at_rest(stored, key=key, purpose=purpose)
    except sealing.SealBroken:
        return False
    return True
