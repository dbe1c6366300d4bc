"""What is laid onto a fresh machine's disk."""

import io
import json
import tarfile

from clawdeploy_emulators.cloud.machines import FirstBoot
from clawdeploy_emulators.machines.seed import seed

FIRST = FirstBoot(user_data="#cloud-config\n", hostname="claw-1", public_keys=("ssh-ed25519 AAAA",), memory_mb=4096)


def unpacked(environment: dict[str, str]) -> tarfile.TarFile:
    return tarfile.open(fileobj=io.BytesIO(seed(FIRST, server_id="7", ports=[8787], environment=environment)))


def text_of(archive: tarfile.TarFile, name: str) -> str:
    file = archive.extractfile(name)
    assert file is not None
    return file.read().decode()


def test_cloud_init_finds_user_data_name_and_keys() -> None:
    with unpacked({}) as archive:
        meta = json.loads(text_of(archive, "var/lib/cloud/seed/nocloud/meta-data"))
        assert meta == {"instance-id": "7", "local-hostname": "claw-1", "public-keys": ["ssh-ed25519 AAAA"]}
        assert text_of(archive, "var/lib/cloud/seed/nocloud/user-data") == FIRST.user_data


def test_a_port_of_the_host_is_one_socket_unit_that_is_wanted_at_boot() -> None:
    with unpacked({}) as archive:
        link = archive.getmember("etc/systemd/system/sockets.target.wants/emulated-host@8787.socket")
        assert link.linkname == "/etc/systemd/system/emulated-host@.socket"


def test_of_the_hosts_environment_only_the_way_out_is_taken_along() -> None:
    with unpacked({"HTTPS_PROXY": 'http://p%20"x', "npm_config_registry": "r", "HCLOUD_TOKEN": "secret"}) as archive:
        written = text_of(archive, "etc/systemd/system.conf.d/20-way-out.conf")
    assert written == '[Manager]\nDefaultEnvironment="HTTPS_PROXY=http://p%%20\\"x" "npm_config_registry=r"\n'
