"""Ports of a local platform: chosen free once, remembered in the home, so that two homes live side by side."""

import contextlib
import hashlib
import json
import random
import socket
from collections.abc import Generator, Iterator
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from clawdeploy_cli.errors import Failed, Refused
from clawdeploy_cli.home import Home
from clawdeploy_cli.secret_store import write_private
from clawdeploy_cli.settings import DEFAULT_PORT, CliSettings

INTERNAL = ("postgres", "broker", "stand_in", "hetzner", "digitalocean", "ovh", "provisioner", "monitor", "billing")
PINNED = frozenset({"stand_in"})  # its address is written into instances' configurations
INTERNAL_RANGE = range(17000, 20900)  # below Linux' ephemeral ports (32768), which outgoing connections take
INSTANCE_RANGE = range(21000, 32000)
INSTANCE_STRIDE = 120  # OpenClaw derives ports base + 2 and + 11 … + 110


class Ports(BaseModel):
    """Where each process of the platform listens, and the block instances take theirs from."""

    model_config = ConfigDict(frozen=True)

    gateway: int
    postgres: int
    broker: int
    stand_in: int
    hetzner: int = 0  # absent in a home that was made before there were clouds
    digitalocean: int = 0
    ovh: int = 0
    provisioner: int
    monitor: int
    billing: int
    instances_first: int
    instances_count: int

    @property
    def claim(self) -> int:
        """The last port of the block: a running platform holds it, so that another home sees the block is taken."""
        return self.instances_first + self.instances_count * INSTANCE_STRIDE - 1


def is_free(port: int, *, host: str = "127.0.0.1") -> bool:
    """Whether a process could listen on this port now."""
    with contextlib.closing(socket.socket()) as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind((host, port))
            candidate.listen(1)
        except OSError:
            return False
        return True


def holder(port: int) -> str:
    """Who listens on a port, as far as we may know."""
    with contextlib.suppress(psutil.Error):
        for found in psutil.net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid:
                return f"{psutil.Process(found.pid).name()} (pid {found.pid})"
    return "another program"


def load_ports(path: Path) -> Ports | None:
    """Remembered ports; None when none were chosen yet."""
    try:
        return Ports.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        raise Failed(f"{path} is damaged.", hint="Delete it: other ports are chosen.") from None


def settle_ports(home: Home, settings: CliSettings) -> Ports:
    """Choose free ports, keeping the remembered ones where they still are free, and remember the result.

    Call it only while this home's platform does not run.

    Raises:
        Refused: the gateway's port, or one that running instances are configured with, is taken.
    """
    remembered = load_ports(home.ports_file)
    known: dict[str, int] = remembered.model_dump() if remembered else {}
    chosen = _internal_ports(home, known)
    gateway = settings.port or known.get("gateway", DEFAULT_PORT)
    if not is_free(gateway, host=settings.host):
        raise Refused(f"Port {gateway} is taken by {holder(gateway)}.", hint="Set CLAWDEPLOY_PORT to a free one.")
    first, count = _instance_block(home, settings, known)
    ports = Ports.model_validate({**chosen, "gateway": gateway, "instances_first": first, "instances_count": count})
    write_private(home.ports_file, json.dumps(ports.model_dump(), indent=2))
    return ports


def _internal_ports(home: Home, known: dict[str, int]) -> dict[str, int]:
    candidates = _candidates(home)
    return {name: _keep_or_choose(name, known.get(name), candidates) for name in INTERNAL}


def _keep_or_choose(name: str, port: int | None, candidates: Iterator[int]) -> int:
    if port is not None and is_free(port):
        return port
    if port is not None and name in PINNED:
        raise Refused(
            f"Port {port}, where instances of this home expect the OpenRouter stand-in, is taken by another program.",
            hint="End that program and try again.",
        )
    return next(candidate for candidate in candidates if is_free(candidate))


def _candidates(home: Home) -> Iterator[int]:
    """Each home tries the range in an order of its own, so that two made at once do not race for the same ports."""
    return iter(random.Random(_seed(home)).sample(INTERNAL_RANGE, len(INTERNAL_RANGE)))  # noqa: S311 - an order, no secret


def _instance_block(home: Home, settings: CliSettings, known: dict[str, int]) -> tuple[int, int]:
    count = settings.process_port_count
    if settings.process_port_first is not None:
        return settings.process_port_first, count
    size = count * INSTANCE_STRIDE
    blocks = list(range(INSTANCE_RANGE.start, INSTANCE_RANGE.stop - size + 1, size)) or [INSTANCE_RANGE.start]
    start = _seed(home) % len(blocks)
    if known.get("instances_count") == count and is_free(known["instances_first"] + size - 1):
        return known["instances_first"], count  # its other ports may be held by our own instances
    for first in [*blocks[start:], *blocks[:start]]:
        if is_free(first + size - 1) and is_free(first):
            return first, count
    raise Refused("No block of ports is free for instances.", hint="Set CLAWDEPLOY_PROCESS_PORT_FIRST and …_COUNT.")


def _seed(home: Home) -> int:
    return int.from_bytes(hashlib.sha256(str(home.path).encode()).digest()[:8])


@contextlib.contextmanager
def hold(port: int) -> Generator[None]:
    """Keep a port taken; whoever else has it already keeps it, which serves the same end."""
    with contextlib.closing(socket.socket()) as held:
        with contextlib.suppress(OSError):
            held.bind(("127.0.0.1", port))
            held.listen(1)
        yield
