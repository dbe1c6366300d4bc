"""Sealed secrets open for one purpose, with one key, unchanged (law 10)."""

from uuid import uuid4

import pytest

from clawdeploy_common.sealing import (
    SealBroken,
    decrypt_at_rest,
    encrypt_at_rest,
    fingerprint,
    generate_key_pair,
    open_sealed,
    seal,
    secret_info,
)

PRIVATE, PUBLIC = generate_key_pair()
INSTANCE = uuid4()
INFO = secret_info(instance_id=INSTANCE, name="bot_token", version=1)
PLANTED = b"123456:AAH-this-is-a-planted-secret"


def test_a_sealed_secret_opens_for_its_purpose() -> None:
    sealed = seal(PLANTED, public_key=PUBLIC, info=INFO)
    assert PLANTED not in sealed
    assert open_sealed(sealed, private_key=PRIVATE, info=INFO) == PLANTED
    assert fingerprint(sealed) != fingerprint(seal(PLANTED, public_key=PUBLIC, info=INFO))


OTHER_PURPOSES = {
    "instance": secret_info(instance_id=uuid4(), name="bot_token", version=1),
    "name": secret_info(instance_id=INSTANCE, name="api_key", version=1),
    "version": secret_info(instance_id=INSTANCE, name="bot_token", version=2),
    "nothing": b"",
}


@pytest.mark.parametrize("info", OTHER_PURPOSES.values(), ids=OTHER_PURPOSES)
def test_a_sealed_secret_opens_for_no_other_purpose(info: bytes) -> None:
    """INVARIANT: a ciphertext moved to another instance, secret or version does not open."""
    sealed = seal(PLANTED, public_key=PUBLIC, info=INFO)
    with pytest.raises(SealBroken) as caught:
        open_sealed(sealed, private_key=PRIVATE, info=info)
    assert PLANTED.decode() not in str(caught.value)


def test_who_seals_cannot_open() -> None:
    """INVARIANT: another key, the public one included, opens nothing."""
    sealed = seal(PLANTED, public_key=PUBLIC, info=INFO)
    for key in (generate_key_pair()[0], PUBLIC):
        with pytest.raises(SealBroken):
            open_sealed(sealed, private_key=key, info=INFO)


@pytest.mark.parametrize("where", [0, 31, 32, 40, -1])
def test_a_changed_byte_is_noticed(where: int) -> None:
    """INVARIANT: a sealed secret that was changed anywhere does not open."""
    sealed = bytearray(seal(PLANTED, public_key=PUBLIC, info=INFO))
    sealed[where] ^= 1
    with pytest.raises(SealBroken):
        open_sealed(bytes(sealed), private_key=PRIVATE, info=INFO)


@pytest.mark.parametrize("sealed", [b"", b"x", b"\x00" * 32, b"\x00" * 200])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        open_sealed(sealed, private_key=PRIVATE, info=INFO)


def test_at_rest_a_key_opens_with_its_key_and_purpose_only() -> None:
    """INVARIANT: a stored key opens with ENCRYPTION_KEY and its purpose, and with nothing else."""
    key = b"k" * 32
    stored = encrypt_at_rest(PLANTED, key=key, purpose=b"one")
    assert decrypt_at_rest(stored, key=key, purpose=b"one") == PLANTED
    for other, purpose, bytes_ in [
        (b"x" * 32, b"one", stored),
        (key, b"two", stored),
        (key, b"one", stored[:-1]),
        (key, b"one", b""),
    ]:
        with pytest.raises(SealBroken):
            decrypt_at_rest(bytes_, key=other, purpose=purpose)
