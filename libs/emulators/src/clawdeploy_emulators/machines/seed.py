"""What a cloud lays onto a fresh machine's disk: the NoCloud seed, the way to the host, and the host's way out."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence

from clawdeploy_emulators.cloud.machines import FirstBoot

_SEED = "var/lib/cloud/seed/nocloud"  # https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html
_UNITS = "etc/systemd/system"
_WANTS = f"{_UNITS}/sockets.target.wants"
_PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy"})


def seed(first: FirstBoot, *, server_id: str, ports: Sequence[int], environment: Mapping[str, str]) -> bytes:
    """A tar archive to unpack at /; ``environment`` is the host's, of which proxies and npm's settings hold on the machine too."""
    meta = {"instance-id": server_id, "local-hostname": first.hostname, "public-keys": list(first.public_keys)}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        _add(archive, f"{_SEED}/meta-data", json.dumps(meta))
        _add(archive, f"{_SEED}/user-data", first.user_data)
        _add(archive, "etc/systemd/system.conf.d/20-way-out.conf", _way_out(environment))
        for port in ports:
            entry = tarfile.TarInfo(f"{_WANTS}/emulated-host@{port}.socket")
            entry.type, entry.linkname = tarfile.SYMTYPE, f"/{_UNITS}/emulated-host@.socket"
            archive.addfile(entry)
    return buffer.getvalue()


def _way_out(environment: Mapping[str, str]) -> str:
    """For systemd-system.conf(5): quoted, with a percent sign doubled."""
    kept = {k: v for k, v in environment.items() if k.lower() in _PROXIES or k.lower().startswith("npm_config_")}
    quoted = [json.dumps(f"{name}={value}", ensure_ascii=False).replace("%", "%%") for name, value in kept.items()]
    return f"[Manager]\nDefaultEnvironment={' '.join(quoted)}\n" if quoted else "[Manager]\n"


def _add(archive: tarfile.TarFile, name: str, text: str) -> None:
    content = text.encode()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o600
    archive.addfile(entry, io.BytesIO(content))
