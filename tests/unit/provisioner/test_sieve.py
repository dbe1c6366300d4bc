"""Of an agent's files what it knows is kept, and nothing that would lead out of its folder."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from clawdeploy_provisioner.kept_state.sieve import CHUNK, OWNER, is_kept, sieved

KEPT = [
    "agents/main/agent/openclaw-agent.sqlite",
    "agents/main/agent/openclaw-agent.sqlite-wal",
    "credentials/whatsapp/default/creds.json",
    "openclaw.sqlite",
    "skills/mine/SKILL.md",
    "workspace/MEMORY.md",
    "workspace/.git/index.lock",
    "workspace/cache/of-a-project",
    "workspace/run.log",
    "workspace/openclaw.json",
]
LEFT_OUT = [
    ".env",
    ".openclaw.json.1f2e",
    "cache/node-compile-cache/x",
    "gateway.log",
    "agents/main/session.lock",
    "logs/today",
    "npm/projects/discord/package.json",
    "openclaw.json",
    "openclaw.json.bak",
    "plugin-skills/x",
    "tmp/x",
    "workspace/project/node_modules/left-pad/index.js",
]


def entry(name: str, kind: bytes = tarfile.REGTYPE, *, content: bytes = b"", link: str = "") -> bytes:
    """One entry of a tar, as another program wrote it."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.mode = kind, link, len(content), 0o6755
    return info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def through(*entries: bytes, inside: str = "", piece: int = 700) -> list[tarfile.TarInfo]:
    """What is left of a tar, read in pieces that end anywhere."""
    packed = b"".join(entries) + bytes(1024)
    pieces = iter([packed[at : at + piece] for at in range(0, len(packed), piece)])
    with tarfile.open(fileobj=io.BytesIO(b"".join(sieved(pieces, inside=inside)))) as tar:
        return [each for each in tar if each.name != "workspace"]


def names(*entries: bytes, inside: str = "") -> list[str]:
    return [each.name for each in through(*entries, inside=inside)]


@pytest.mark.parametrize("name", KEPT)
def test_what_an_agent_knows_is_kept(name: str) -> None:
    assert is_kept(PurePosixPath(name))


@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_made_anew_is_not(name: str) -> None:
    assert not is_kept(PurePosixPath(name))


def test_names_begin_in_the_state_folder_whatever_they_began_with() -> None:
    assert names(entry("./agents/a", content=b"x"), entry(".", tarfile.DIRTYPE)) == ["agents/a"]
    assert names(entry(".openclaw/agents/a"), entry("elsewhere/b"), inside=".openclaw") == ["agents/a"]


@pytest.mark.parametrize(
    "hostile",
    [
        [entry("../outside")],
        [entry("workspace/../../outside")],
        [entry("/etc/passwd")],
        [entry("workspace/etc", tarfile.SYMTYPE, link="/etc"), entry("workspace/etc/passwd")],
        [entry("workspace/etc", tarfile.SYMTYPE, link="/etc"), entry("workspace/etc")],
        [entry("workspace/hard", tarfile.LNKTYPE, link="/etc/shadow")],
        [entry("workspace/hard", tarfile.LNKTYPE, link="../outside")],
        [entry("workspace/disk", tarfile.BLKTYPE)],
        [entry("workspace/pipe", tarfile.FIFOTYPE)],
    ],
)
def test_nothing_leads_out_of_the_folder(hostile: list[bytes]) -> None:
    """INVARIANT: a tar that an agent has thought out writes to no place but its own."""
    kept = through(*hostile, entry("workspace/last"))
    assert {each.name for each in kept} <= {"workspace/etc", "workspace/last"}
    assert all(each.issym() for each in kept if each.name == "workspace/etc")
    assert kept[-1].name == "workspace/last"


def test_owners_and_rights_are_ours_to_say() -> None:
    (plain,) = through(entry("workspace/tool", content=b"#!/bin/sh\n"))
    assert (plain.uid, plain.gid, plain.mode) == (OWNER, OWNER, 0o755)


def test_a_hard_link_to_a_kept_file_stays_one() -> None:
    one, other = through(
        entry("./workspace/a", content=b"x"), entry("./workspace/b", tarfile.LNKTYPE, link="./workspace/a")
    )
    assert (one.size, other.linkname, other.islnk()) == (1, "workspace/a", True)


def test_a_large_file_is_never_whole_in_memory_and_arrives_whole() -> None:
    content = bytes(range(256)) * 16_384  # 4 MB
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        packed = entry("workspace/large", content=content) + bytes(1024)
        for at in range(0, len(packed), 65_536):
            taken += 1
            yield packed[at : at + 65_536]

    chunks = sieved(pieces())
    first = next(chunks)
    assert (len(first), taken <= 2 * CHUNK // 65_536) == (CHUNK, True)
    with tarfile.open(fileobj=io.BytesIO(first + b"".join(chunks))) as tar:
        file = tar.extractfile("workspace/large")
        assert file is not None
        assert file.read() == content


def test_what_is_no_tar_is_an_error() -> None:
    with pytest.raises(tarfile.TarError):
        list(sieved(iter([b"Permission denied\n" * 100])))
