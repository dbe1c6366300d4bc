"""The environments we give to programs: built from nothing, so that no secret of the platform is ever inherited."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

_CERTIFICATES = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
_NPM = re.compile(r"npm_config_", re.IGNORECASE)


def for_instance(*, home: Path, state: Path, temporary: Path, search_path: str) -> dict[str, str]:
    """What a gateway and its own commands need to stay inside their directory on this machine, without any secret."""
    here = {"PATH": search_path, "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(home / ".cache")}
    return _certificates() | stay_inside(home=home, state=state) | here


def stay_inside(*, home: Path, state: Path) -> dict[str, str]:
    """OpenClaw's own folders, wherever it runs.

    The reasons for each OPENCLAW_ variable are in OpenClaw's docs/help/environment.md; the supervisor is us.
    """
    return {
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(state / "cache"),
        "OPENCLAW_HOME": str(home),
        "OPENCLAW_STATE_DIR": str(state),
        "OPENCLAW_CONFIG_PATH": str(state / "openclaw.json"),
        "OPENCLAW_DISABLE_BONJOUR": "1",
        "OPENCLAW_NO_RESPAWN": "1",
        "OPENCLAW_NO_AUTO_UPDATE": "1",
        "OPENCLAW_EXEC_SHELL_SNAPSHOT": "0",
        "OPENCLAW_SUPERVISOR_MODE": "external",
        "OPENCLAW_SERVICE_REPAIR_POLICY": "external",
        "MALLOC_ARENA_MAX": "2",
    }


def for_npm(*, search_path: str, home: Path | None = None) -> dict[str, str]:
    """What npm needs to reach the registry this machine is set up for: its own settings, certificates and proxies."""
    inherited = {name: value for name, value in os.environ.items() if name in _PROXIES or _NPM.match(name)}
    return _certificates() | inherited | {"PATH": search_path, "HOME": str(home or Path.home()), "LANG": "C.UTF-8"}


def _certificates(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    return {name: source[name] for name in _CERTIFICATES if name in source}
