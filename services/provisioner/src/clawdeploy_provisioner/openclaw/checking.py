"""OpenClaw's own verdict on a configuration, asked once per version and shape."""

import asyncio
import hashlib
import json
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog
from pydantic import BaseModel, Field, JsonValue

from clawdeploy_common.errors import TemporaryError
from clawdeploy_provisioner.disk import write_atomically
from clawdeploy_provisioner.openclaw.commands import run
from clawdeploy_provisioner.openclaw.environment import for_instance
from clawdeploy_provisioner.openclaw.tree import Tools
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION

log = structlog.get_logger()

_Verdict = TypeVar("_Verdict", bound=BaseModel)

_PATIENCE = 90.0
_PLACE = "*"
_DIFFERS = frozenset({"port", "userHeader", "allowUsers", "allowedOrigins", "workspace", "file", "baseUrl"})
"""Keys whose value is the instance's own and, by its type, always valid."""


class CheckUnavailable(TemporaryError):
    """OpenClaw gave no verdict that could be read."""

    code = "openclaw-check-unavailable"


class _Issue(BaseModel):
    path: str = ""
    message: str

    @property
    def sentence(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class _Validation(BaseModel):
    valid: bool
    issues: list[_Issue] = Field(default_factory=list[_Issue])


class _DryRun(BaseModel):
    ok: bool
    errors: list[_Issue] = Field(default_factory=list[_Issue])


async def issues_of(document: dict[str, JsonValue], *, tools: Tools) -> list[str]:
    """What OpenClaw has against the configuration, as sentences; empty when it would start with it.

    Two of its commands are asked, because ``config validate`` does not look at model references; together 4 s. An accepted shape is
    remembered in the tools directory.

    Raises:
        CheckUnavailable: OpenClaw did not answer in its own format.
    """
    remembered = tools.verdicts / fingerprint(document)
    if await asyncio.to_thread(remembered.is_file):
        return []
    issues = await _ask(document, tools)
    if not issues:
        await asyncio.to_thread(_remember, remembered)
    log.info("openclaw.configuration_checked", issues=len(issues))
    return issues


def fingerprint(document: dict[str, JsonValue]) -> str:
    """The same for two configurations that differ only in what is each instance's own: ports, paths, names, the model's id."""
    shape = json.dumps(_shape(document), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{OPENCLAW_VERSION}\n{shape}".encode()).hexdigest()


def _shape(value: JsonValue, *, key: str = "") -> JsonValue:
    if key in _DIFFERS:
        return _PLACE
    if key == "primary" and isinstance(value, str):
        return f"{value.partition('/')[0]}/{_PLACE}"  # any id of a known provider passes: OpenClaw looks no further
    if key == "models" and isinstance(value, list):
        return _PLACE
    if isinstance(value, dict):
        return {name: _shape(inner, key=name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shape(inner) for inner in value]
    return value


def _remember(path: Path) -> None:
    """Where the tools belong to somebody else the verdict is simply asked again."""
    with suppress(PermissionError):
        path.parent.mkdir(mode=0o755, exist_ok=True)
        write_atomically(path.parent, path.name, b"", mode=0o644)


async def _ask(document: dict[str, JsonValue], tools: Tools) -> list[str]:
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="clawdeploy-check-"))
    logging: JsonValue = {
        "file": str(folder / "check.log")
    }  # a command writes there too, and does not run as the agent
    try:
        write_atomically(folder, "openclaw.json", json.dumps({**document, "logging": logging}).encode())
        validation, dry_run = await asyncio.gather(_validate(folder, tools), _try_models(folder, document, tools))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    found = [*validation.issues, *(dry_run.errors if not dry_run.ok else [])]
    sentences = list(dict.fromkeys(issue.sentence for issue in found))
    if not sentences and not (validation.valid and dry_run.ok):
        raise CheckUnavailable("OpenClaw refused the configuration without a reason", retry_after=10)
    return sentences


async def _validate(folder: Path, tools: Tools) -> _Validation:
    return await _answer(_Validation, folder, tools, "config", "validate", "--json")


async def _try_models(folder: Path, document: dict[str, JsonValue], tools: Tools) -> _DryRun:
    patch = json.dumps({"agents": document["agents"]}).encode()
    return await _answer(_DryRun, folder, tools, "config", "patch", "--stdin", "--dry-run", "--json", stdin=patch)


async def _answer(kind: type[_Verdict], folder: Path, tools: Tools, *command: str, stdin: bytes = b"") -> _Verdict:
    environment = for_instance(home=folder, state=folder, temporary=folder, search_path=tools.search_path)
    finished = await run(
        tools.command(*command), environment=environment, directory=folder, patience=_PATIENCE, stdin=stdin
    )
    try:
        return kind.model_validate_json(finished.stdout)
    except ValueError as error:
        log.warning("openclaw.check_unreadable", command=command[:2], exit_code=finished.exit_code)
        raise CheckUnavailable(
            f"openclaw {' '.join(command[:2])} ended with {finished.exit_code} and no verdict"
        ) from error
