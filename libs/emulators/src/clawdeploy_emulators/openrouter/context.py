"""What every route of the stand-in works with, and who is calling."""

import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Header, Request

from clawdeploy_emulators.faults import FaultSwitch
from clawdeploy_emulators.openrouter.errors import Forbidden, Unauthorized
from clawdeploy_emulators.openrouter.keys import Key, Keys, key_hash
from clawdeploy_emulators.openrouter.ledger import Ledger
from clawdeploy_emulators.openrouter.settings import OpenRouterSettings
from clawdeploy_emulators.store import Store


@dataclass(frozen=True, kw_only=True)
class Context:
    """The parts of one running stand-in."""

    settings: OpenRouterSettings
    store: Store
    keys: Keys
    ledger: Ledger
    faults: FaultSwitch

    def now(self) -> datetime:
        """The stand-in's time, UTC."""
        return self.settings.clock()


def context_of(request: Request) -> Context:
    """The context of the application that serves this request."""
    context: Context = request.app.state.context
    return context


InContext = Annotated[Context, Depends(context_of)]


def bearer_token(authorization: Annotated[str | None, Header()] = None) -> str:
    """The key a caller shows. Raises Unauthorized when there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized
    return token.strip()


Token = Annotated[str, Depends(bearer_token)]


def caller(context: InContext, token: Token) -> Key | None:
    """The ordinary key of the caller, or None for the management key. Raises Unauthorized for any other."""
    if hmac.compare_digest(key_hash(token), key_hash(context.settings.management_key)):
        return None
    key = context.keys.find(key_hash(token), now=context.now())
    if key is None:
        raise Unauthorized("User not found.")
    if key.disabled:
        raise Unauthorized("API key is disabled")
    if key.expired(context.now()):
        raise Unauthorized("API key has expired")
    return key


Caller = Annotated[Key | None, Depends(caller)]


def manager(key: Caller) -> None:
    """Let only the management key pass."""
    if key is not None:
        raise Forbidden


def ordinary_key(key: Caller) -> Key:
    """Let only an ordinary key pass."""
    if key is None:
        raise Forbidden("Management keys cannot be used for inference")
    return key


OrdinaryKey = Annotated[Key, Depends(ordinary_key)]
