"""What a new server is given, and the parts of its bootstrap that do not need a server."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

import pytest
import yaml

from clawdeploy_provisioner.on_server import bootstrap
from clawdeploy_provisioner.on_server.user_data import (
    MAX_BYTES,
    START_BOOTSTRAP,
    FirstStart,
    files_of,
    render_user_data,
)

TOKEN = "t" * 43
VERSION = "24.0.0"


def start(memory_mb: int = 2048) -> FirstStart:
    return FirstStart(server_id="s", control_plane_url="https://x.test/", registration_token=TOKEN, memory_mb=memory_mb)


def test_user_data_is_the_files_and_one_unit_and_fits_every_cloud() -> None:
    text = render_user_data(start())
    document = yaml.safe_load(text)
    assert text.startswith("#cloud-config\n")
    assert len(text.encode()) < MAX_BYTES
    assert {file["path"]: file["content"] for file in document["write_files"]} == {
        file.path: file.content for file in files_of(start())
    }
    assert document["runcmd"] == [list(command) for command in START_BOOTSTRAP]


def test_only_root_reads_the_registration_token() -> None:
    holders = [
        file["permissions"]
        for file in yaml.safe_load(render_user_data(start()))["write_files"]
        if TOKEN in file["content"]
    ]
    assert holders == ["0600"]


@pytest.mark.parametrize(("memory_mb", "swap_mb"), [(2048, 2048), (4096, 2048), (8192, 0)])
def test_a_small_machine_swaps(memory_mb: int, swap_mb: int) -> None:
    [values] = [file.content for file in files_of(start(memory_mb)) if file.path.endswith("bootstrap.json")]
    assert json.loads(values)["swap_mb"] == swap_mb


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bootstrap, "NODE", tmp_path / "node")
    monkeypatch.setattr(bootstrap, "PROGRESS", tmp_path / "progress")
    return tmp_path


def published(monkeypatch: pytest.MonkeyPatch, *, promised: str | None = None) -> None:
    """Node's own site has one archive and its hash."""
    name = f"node-v{VERSION}-linux-{bootstrap.ARCHITECTURES[platform.machine()]}"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(f"{name}/bin/node"), io.BytesIO())
    sums = f"{promised or hashlib.sha256(buffer.getvalue()).hexdigest()}  {name}.tar.gz\n".encode()
    answers = {f"{name}.tar.gz": buffer.getvalue(), "SHASUMS256.txt": sums}

    def fetched(url: str) -> bytes:
        return answers[url.rpartition("/")[2]]

    monkeypatch.setattr(bootstrap, "fetched", fetched)


def test_node_is_unpacked_when_it_is_what_was_promised(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch)
    bootstrap.unpack_node(VERSION, places / "node" / f"v{VERSION}")
    assert [path.name for path in (places / "node").iterdir()] == [f"v{VERSION}"]
    assert (places / "node" / f"v{VERSION}" / "bin" / "node").is_file()


def test_a_damaged_node_is_not_unpacked(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(monkeypatch, promised="0" * 64)
    with pytest.raises(SystemExit, match="damaged"):
        bootstrap.unpack_node(VERSION, places / "node" / f"v{VERSION}")
    assert not (places / "node").exists()


def test_a_link_that_is_right_is_not_made_again(tmp_path: Path) -> None:
    link, target = tmp_path / "link", tmp_path / "target"
    bootstrap.link(link, target)
    made = link.lstat()
    bootstrap.link(link, target)
    again = link.lstat()
    assert (again.st_ino, again.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)
    bootstrap.link(link, tmp_path / "other")
    assert link.readlink() == tmp_path / "other"
