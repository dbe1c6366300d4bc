"""Internal tokens: who may call whom."""

import base64
import json
import time
from uuid import uuid4

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from pydantic import SecretStr

from clawdeploy_common.errors import Unauthorized
from clawdeploy_common.tokens import LIFETIME_S, InternalPass, InternalTokens

SECRET = "a secret that only the services of one platform know"  # pragma: allowlist secret
API = InternalTokens(SecretStr(SECRET), service="api")
PROVISIONER = InternalTokens(SecretStr(SECRET), service="provisioner")


def signed(claims: dict[str, object], *, secret: str = SECRET) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(secret), algorithms=["HS256"])


def part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    given = {"iss": "api", "aud": "provisioner", "iat": now, "exp": now + 60, "operator": True, **changes}
    return {name: value for name, value in given.items() if value is not None}


def test_a_token_says_who_calls_for_whom() -> None:
    account = uuid4()
    token = API.issue("provisioner", account_id=account)
    assert PROVISIONER.verify(token) == InternalPass("api", account, operator=False)
    assert PROVISIONER.verify(API.issue("provisioner", operator=True)) == InternalPass("api", None, operator=True)


BAD = {
    "for another service": signed(claims(aud="billing")),
    "without an audience": signed(claims(aud=None)),
    "expired": signed(claims(exp=int(time.time()) - LIFETIME_S)),
    "without an end": signed(claims(exp=None)),
    "of nobody": signed(claims(iss=None)),
    "with another secret": signed(claims(), secret="some other secret of the same length as the real"),
    "for an account that is none": signed(claims(sub="everybody")),
    "alg none": f"{part({'alg': 'none'})}.{part(claims())}.",
    "alg none, signature kept": f"{part({'alg': 'none'})}.{part(claims())}.{signed(claims()).split('.')[2]}",
    "alg HS512": jwt.encode({"alg": "HS512"}, claims(), OctKey.import_key(SECRET), algorithms=["HS512"]),
    "tampered": ".".join([signed(claims()).split(".")[0], part(claims(iss="billing")), signed(claims()).split(".")[2]]),
    "no signature": ".".join(signed(claims()).split(".")[:2]),
    "empty": "",
    "not a token": "a.b.c",
    "not ASCII": "ключ.ключ.ключ",
    "a claim that is no object": f"{part({'alg': 'HS256'})}.{part([])}.AAAA",
    "an end that is no number": signed(claims(exp="tomorrow")),
}


@pytest.mark.parametrize("token", BAD.values(), ids=BAD)
def test_a_token_that_is_not_ours_or_not_for_us_is_refused(token: str) -> None:
    """INVARIANT: wrong audience, expired, tampered, unsigned, foreign: all are 401."""
    with pytest.raises(Unauthorized):
        PROVISIONER.verify(token)
