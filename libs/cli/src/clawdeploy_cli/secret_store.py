"""Secrets of a local platform: made once, kept in the home, readable by its owner only."""

import base64
import os
import secrets
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clawdeploy_cli.errors import Failed

DATABASE_ROLES = tuple(
    role for service in ("api", "provisioner", "monitor", "billing") for role in (service, f"{service}_web")
)


def _password() -> str:
    return secrets.token_urlsafe(32)


def _encryption_key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _api_key() -> str:
    return f"claw_{secrets.token_urlsafe(32)}"  # 32 bytes are 43 url-safe characters


def _role_passwords() -> dict[str, str]:
    return {role: _password() for role in DATABASE_ROLES}


class Secrets(BaseModel):
    """What `claw up` made for this home. Losing `encryption_key` loses every sealed secret."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    postgres_admin_password: str = Field(default_factory=_password, repr=False)
    database_passwords: dict[str, str] = Field(default_factory=_role_passwords, repr=False)
    internal_secret: str = Field(default_factory=_password, repr=False)
    encryption_key: str = Field(default_factory=_encryption_key, repr=False)
    bootstrap_api_key: str = Field(default_factory=_api_key, repr=False)
    stand_in_management_key: str = Field(default_factory=lambda: f"sk-or-v1-{secrets.token_hex(32)}", repr=False)


def load_secrets(path: Path) -> Secrets | None:
    """Secrets of a home; None when none were made yet.

    Raises:
        Failed: the file is damaged. It is never made anew, because that would lose what is sealed with it.
    """
    try:
        return Secrets.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise Failed(f"{path} is damaged.", hint="Restore it from a backup, or start over with: claw clean") from None


def load_or_create_secrets(path: Path) -> Secrets:
    """Secrets of a home, made on the first call (file mode 0600, written at once or not at all)."""
    found = load_secrets(path)
    if found is not None:
        return found
    write_private(path, Secrets().model_dump_json(indent=2))
    created = load_secrets(path)
    assert created is not None  # noqa: S101 - it was written in the line above
    return created


def write_private(path: Path, text: str) -> None:
    """Replace a file's content at once; only its owner may read it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
