"""OpenClaw's own verdict on a configuration, asked once per version and shape."""

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import structlog
from pydantic import BaseModel, Field, JsonValue

from clawdeploy_common.errors import TemporaryError
from clawdeploy_provisioner.disk import write_atomically
from clawdeploy_provisioner.openclaw.commands import Finished, run
from clawdeploy_provisioner.openclaw.environment import for_instance
from clawdeploy_provisioner.openclaw.tree import Tools
from clawdeploy_provisioner.openclaw.version import OPENCLAW_VERSION

log = structlog.get_logger()

_Verdict = TypeVar("_Verdict", bound=BaseModel)

PATIENCE = 90.0
"""Seconds one of OpenClaw's commands may take."""
_PLACE = "*"
_DIFFERS = frozenset(
    {"port", "userHeader", "allowUsers", "allowedOrigins", "trustedProxies", "workspace", "file", "baseUrl"}
)
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


class Checker(Protocol):
    """Runs one command of OpenClaw beside a configuration, where an agent would run."""

    async def __call__(self, document: bytes, command: Sequence[str], *, patch: bytes | None) -> Finished:
        """Run ``openclaw COMMAND`` with the document in place; ``patch`` is a file named last, after ``--file``."""
        ...


async def issues_of(
    document: dict[str, JsonValue], *, checker: Checker, verdicts: Path, program: str = OPENCLAW_VERSION
) -> list[str]:
    """What OpenClaw has against the configuration, as sentences; empty when it would start with it.

    Two of its commands are asked, because ``config validate`` does not look at model references; together 4 s. An accepted shape is
    remembered in the directory ``verdicts`` for this ``program``.

    Raises:
        CheckUnavailable: OpenClaw did not answer in its own format.
    """
    remembered = verdicts / fingerprint(document, program=program)
    if await asyncio.to_thread(remembered.is_file):
        return []
    issues = await _ask(document, checker)
    if not issues:
        await asyncio.to_thread(_remember, remembered)
    log.info("openclaw.configuration_checked", issues=len(issues))
    return issues


def fingerprint(document: dict[str, JsonValue], *, program: str = OPENCLAW_VERSION) -> str:
    """The same for two configurations that differ only in what is each instance's own: ports, paths, names, the model's id."""
    shape = json.dumps(_shape(document), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{program}\n{shape}".encode()).hexdigest()


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


async def _ask(document: dict[str, JsonValue], checker: Checker) -> list[str]:
    whole, patch = json.dumps(document).encode(), json.dumps({"agents": document["agents"]}).encode()
    validation, dry_run = await asyncio.gather(
        _answer(_Validation, checker, whole, ["config", "validate", "--json"]),
        _answer(_DryRun, checker, whole, ["config", "patch", "--dry-run", "--json", "--file"], patch=patch),
    )
    found = [*validation.issues, *(dry_run.errors if not dry_run.ok else [])]
    sentences = list(dict.fromkeys(issue.sentence for issue in found))
    if not sentences and not (validation.valid and dry_run.ok):
        raise CheckUnavailable("OpenClaw refused the configuration without a reason", retry_after=10)
    return sentences


async def _answer(
    kind: type[_Verdict], checker: Checker, document: bytes, command: list[str], *, patch: bytes | None = None
) -> _Verdict:
    finished = await checker(document, command, patch=patch)
    try:
        return kind.model_validate_json(finished.stdout)
    except ValueError as error:
        log.warning("openclaw.check_unreadable", command=command[:2], exit_code=finished.exit_code)
        raise CheckUnavailable(
            f"openclaw {' '.join(command[:2])} ended with {finished.exit_code} and no verdict"
        ) from error


class LocalChecker:
    """Asks the OpenClaw of the tools directory, in a folder that is removed."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def __call__(self, document: bytes, command: Sequence[str], *, patch: bytes | None) -> Finished:
        """Run it as we are; a command writes its log too, and does not run as the agent, so the log goes to the folder."""
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="clawdeploy-check-"))
        logged = {**json.loads(document), "logging": {"file": str(folder / "check.log")}}
        try:
            write_atomically(folder, "openclaw.json", json.dumps(logged).encode())
            if patch is not None:
                write_atomically(folder, "patch.json", patch)
            named = [] if patch is None else [str(folder / "patch.json")]
            environment = for_instance(home=folder, state=folder, temporary=folder, search_path=self._tools.search_path)
            return await run(
                self._tools.command(*command, *named), environment=environment, directory=folder, patience=PATIENCE
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
