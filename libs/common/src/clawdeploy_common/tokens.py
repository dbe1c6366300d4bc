"""Internal tokens: short-lived signed passes between services (JWT, RFC 7519, HS256 with the platform's internal secret)."""

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import OctKey
from pydantic import SecretStr

from clawdeploy_common.errors import Unauthorized

LIFETIME_S = 60
_LEEWAY_S = 5


@dataclass(frozen=True, slots=True)
class InternalPass:
    """Who calls (``issuer``), for which account (None: for the platform itself), and whether an operator asked."""

    issuer: str
    account_id: UUID | None
    operator: bool


class InternalTokens:
    """Issues tokens signed with the platform's internal secret; verifies them with it and, while it is changed, with ``previous``."""

    def __init__(self, secret: SecretStr, *, service: str, previous: SecretStr | None = None) -> None:
        self._key = OctKey.import_key(secret.get_secret_value())
        self._accepted = [self._key, *([OctKey.import_key(previous.get_secret_value())] if previous else [])]
        self._service = service

    def issue(self, audience: str, *, account_id: UUID | None = None, operator: bool = False) -> str:
        """A token for one service, valid one minute."""
        now = int(time.time())
        claims = {"iss": self._service, "aud": audience, "iat": now, "exp": now + LIFETIME_S, "operator": operator}
        if account_id is not None:
            claims["sub"] = str(account_id)
        return jwt.encode({"alg": "HS256"}, claims, self._key, algorithms=["HS256"])

    def verify(self, token: str) -> InternalPass:
        """Read a token meant for this service; raises Unauthorized."""
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S,
            aud={"essential": True, "value": self._service},
            iss={"essential": True},
            exp={"essential": True},
        )
        try:
            claims = self._read(token)
            registry.validate(claims)
            subject = claims.get("sub")
            return InternalPass(claims["iss"], UUID(subject) if subject else None, bool(claims.get("operator")))
        except (JoseError, ValueError) as error:
            raise Unauthorized("the internal token is not valid") from error

    def _read(self, token: str) -> dict[str, Any]:
        """The claims, by the first secret whose signature they bear; raises JoseError, ValueError."""
        for key in self._accepted[:-1]:
            with suppress(BadSignatureError):
                return jwt.decode(token, key, algorithms=["HS256"]).claims
        return jwt.decode(token, self._accepted[-1], algorithms=["HS256"]).claims
