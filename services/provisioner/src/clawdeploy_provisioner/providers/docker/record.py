"""What is kept in a server's second volume, which the engine mounts at ``/run/clawdeploy``.

::

    environment   the agent's secrets for Node's ``--env-file``, readable by the gateway's user alone
    record.json   what the provisioner remembers of the server, readable by root alone: the agent cannot change it
    ready         names the run of the gateway that has been seen ready

The folder belongs to root and the agent has no capability, so it can neither replace nor remove them. None of this shows in
``docker inspect``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel, Field

from clawdeploy_common.redaction import Redactor
from clawdeploy_provisioner.openclaw.channels import Channel
from clawdeploy_provisioner.openclaw.config import GatewayIdentity
from clawdeploy_provisioner.providers.protocol import ConfigurationRejected

FOLDER = "/run/clawdeploy"
ENVIRONMENT, RECORD, READY = "environment", "record.json", "ready"


class Failure(BaseModel):
    """Why the server is in error; a new start forgets it."""

    reason: str
    exit_code: int | None = None
    last_lines: list[str] = Field(default_factory=list[str])
    before_ready: bool = False


class CellRecord(BaseModel):
    """``record.json``.

    ``start`` is another one at each start that somebody asked for; ``relayed_port`` is the port of this machine the agent's models are
    called at, if they are; ``parked``: stopped because the platform went down, to be started when it is up again.
    """

    desired: Literal["stopped", "running"] = "stopped"
    start: str = ""
    version: int | None = None
    identity: GatewayIdentity | None = None
    secrets: dict[str, str] = Field(default_factory=dict[str, str], repr=False)
    plugins: list[Channel] = Field(default_factory=list[Channel])
    relayed_port: int | None = None
    parked: bool = False
    failure: Failure | None = None
    disk_was_full: bool = False

    @property
    def redactor(self) -> Redactor:
        """Knows every secret the agent was given, and the name of its identity header."""
        values = list(self.secrets.values())
        return Redactor([*values, self.identity.header] if self.identity is not None else values)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """What the volume holds, as far as the provisioner looks at it."""

    record: CellRecord = field(default_factory=CellRecord)
    mark: str = ""

    @classmethod
    def read(cls, files: Mapping[str, bytes]) -> "Kept":
        """From the folder's files; an empty folder is an empty record."""
        record = CellRecord.model_validate_json(files.get(RECORD, b"{}"))
        return cls(record=record, mark=files.get(READY, b"").decode())

    @property
    def was_ready(self) -> bool:
        """Whether the gateway has been ready since it was started last."""
        return bool(self.record.start) and self.mark.startswith(f"{self.record.start} ")

    def is_ready(self, run: str) -> bool:
        """Whether this run, by when the engine started it, has been seen ready."""
        return self.was_ready and self.mark == mark_of(self.record, run)


def mark_of(record: CellRecord, run: str) -> str:
    """What the file ``ready`` says of a run."""
    return f"{record.start} {run}"


def env_file(variables: Mapping[str, str]) -> bytes:
    """The text of Node's env file (nodejs.org/api/environment_variables.html): each value in a quote it does not hold.

    Raises:
        ConfigurationRejected: a value holds all three quotes, or ends a line.
    """
    return "".join(f"{name}={_quoted(name, value)}\n" for name, value in variables.items()).encode()


def _quoted(name: str, value: str) -> str:
    quote = next((quote for quote in "'`\"" if quote not in value), None)
    if quote is None or "\n" in value or "\r" in value or (quote == '"' and "\\" in value):
        raise ConfigurationRejected([f"{name}: cannot be given to an agent in a container"])
    return f"{quote}{value}{quote}"


def record_file(record: CellRecord) -> bytes:
    """The record's JSON."""
    return json.dumps(record.model_dump(mode="json", exclude_defaults=True)).encode()
