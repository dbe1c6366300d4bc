"""The gateway's internal routes that a provisioner asks: configurations and sealed secrets."""

import base64
import hashlib
from typing import Any
from uuid import UUID

from fastapi import FastAPI, HTTPException

from clawdeploy_common import sealing


class Gateway:
    """Answers for every configuration version; secrets are what a test put there. ``status`` other than 200 is its trouble."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {}
        self.status = 200
        self.asked: list[str] = []
        self.accounts: dict[UUID, UUID] = {}
        self._sealed: dict[tuple[UUID, str, int], dict[str, str]] = {}
        self.newest: UUID | None = None
        self.listed = 0
        self.app = FastAPI()
        self.app.get("/internal/sealing-keys/{key_id}/secrets")(self._sealed_to)
        self.app.get("/internal/instances/{instance_id}/configs/{version}")(self._config)
        self.app.get("/internal/instances/{instance_id}/secrets/{name}/versions/{version}")(self._secret)

    def put(
        self, plaintext: str, *, at: tuple[UUID, str, int], public_key: bytes, key_id: UUID, info: bytes | None = None
    ) -> bytes:
        """Keep a secret, sealed for its own place (instance, name, version) unless another ``info`` is given; returns its bytes."""
        info = info or sealing.secret_info(instance_id=at[0], name=at[1], version=at[2])
        sealed = sealing.seal(plaintext.encode(), public_key=public_key, info=info)
        self._sealed[at] = {
            "sealed": base64.b64encode(sealed).decode(),
            "sealing_key_id": str(key_id),
            "sealed_hash": sealing.fingerprint(sealed),
        }
        return sealed

    def replace(self, at: tuple[UUID, str, int], fetched: dict[str, str]) -> None:
        """Keep what the provisioner sealed again."""
        self._sealed[at] = fetched

    async def _sealed_to(self, key_id: UUID, after: UUID) -> dict[str, Any]:
        self.listed += 1
        held = [at for at, row in self._sealed.items() if row["sealing_key_id"] == str(key_id) and at[0] > after]
        items = [
            {
                "instance_id": instance,
                "account_id": self.accounts[instance],
                "secrets": [{"name": name, "version": version} for of, name, version in held if of == instance],
            }
            for instance in sorted({instance for instance, _, _ in held})
        ]
        return {"newest_key_id": self.newest, "items": items}

    async def _config(self, instance_id: UUID, version: int) -> dict[str, Any]:
        self._note(f"config {instance_id} {version}")
        content_hash = hashlib.sha256(repr(sorted(self.config.items())).encode()).hexdigest()
        return {"version": version, "content_hash": content_hash, "config": self.config}

    async def _secret(self, instance_id: UUID, name: str, version: int) -> dict[str, str]:
        self._note(f"secret {instance_id} {name} {version}")
        found = self._sealed.get((instance_id, name, version))
        if found is None:
            raise HTTPException(404)
        return found

    def _note(self, question: str) -> None:
        self.asked.append(question)
        if self.status != 200:
            raise HTTPException(self.status)
