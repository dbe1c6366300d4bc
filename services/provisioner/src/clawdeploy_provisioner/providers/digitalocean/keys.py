"""A Droplet's SSH key: looked up by its fingerprint, since listing keys is limited to 10 in a minute."""

import base64
import hashlib
import time
from typing import Any

from clawdeploy_provisioner.providers.cloud.client import CloudRefused
from clawdeploy_provisioner.providers.digitalocean.client import UNPROCESSABLE, DigitalOceanClient

_FRESH_S = 10.0


def fingerprint_of(public_key: str) -> str:
    """MD5 of the key's bytes, as DigitalOcean writes it (RFC 4716 §4)."""
    digest = hashlib.md5(base64.b64decode(public_key.split()[1]), usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


class Keys:
    """The account's SSH keys; their numbers by name are remembered from when they were made, or listed."""

    def __init__(self, client: DigitalOceanClient) -> None:
        self._client = client
        self._numbers: dict[str, int] = {}
        self._listed_at = float("-inf")

    async def ensure(self, name: str, public_key: str) -> int:
        """The number of this key, made unless it is there."""
        try:
            answer = await self._client.post("/account/keys", {"name": name, "public_key": public_key})
        except CloudRefused as error:
            if error.error_code != UNPROCESSABLE:
                raise
            answer = await self._client.find(f"/account/keys/{fingerprint_of(public_key)}")
            if answer is None:
                raise
        self._numbers[name] = int(answer["ssh_key"]["id"])
        return self._numbers[name]

    async def remove(self, name: str) -> None:
        """The key of this name, if there is one."""
        if name not in self._numbers:
            await self._learn()
        if name in self._numbers:
            await self._client.delete(f"/account/keys/{self._numbers[name]}")
            self._numbers.pop(name, None)

    async def _learn(self) -> None:
        """One listing serves everybody who asks within ten seconds; what we made since is known."""
        if time.monotonic() - self._listed_at < _FRESH_S:
            return
        self._numbers |= {key["name"]: int(key["id"]) for key in await self.all()}
        self._listed_at = time.monotonic()

    async def all(self) -> list[dict[str, Any]]:
        """Every key of the account; raises RateLimited rather than have DigitalOcean say it."""
        await self._client.key_listings.take()
        return await self._client.pages("/account/keys", key="ssh_keys")
