"""What must be settled before the first process starts: leftovers of a killed supervisor, ports, secrets."""

from clawdeploy_cli.errors import Refused
from clawdeploy_cli.home import Home
from clawdeploy_cli.ports import Ports, settle_ports
from clawdeploy_cli.processes import stop_all
from clawdeploy_cli.secret_store import Secrets, load_or_create_secrets
from clawdeploy_cli.settings import CliSettings
from clawdeploy_cli.supervisor.containers import lacks_engine
from clawdeploy_cli.supervisor.state import read_record

LEFTOVER_GRACE_S = 10.0


def make_ready(home: Home, settings: CliSettings) -> tuple[Ports, Secrets]:
    """End what a killed supervisor left, then settle ports and secrets. Call it holding the home's lock.

    Raises:
        Refused: a port that cannot change is taken, or emulated servers are to be machines and no Docker engine is there.
        Failed: the home's ports or secrets are damaged.
    """
    _require_engine(settings)
    end_leftovers(home)
    secrets = load_or_create_secrets(home.secrets_file)
    return settle_ports(home, settings), secrets


def _require_engine(settings: CliSettings) -> None:
    if settings.emulated and settings.emulated_machines == "real" and lacks_engine(settings.docker):
        raise Refused(
            f"The servers of an emulated cloud are whole machines, and no Docker engine answers at {settings.docker}.",
            hint="Install and start one (Debian: apt-get install docker.io), or set CLAWDEPLOY_EMULATED_MACHINES=hollow"
            " for servers that only seem to run.",
        )


def end_leftovers(home: Home) -> int:
    """Wait for, or end, processes that a killed supervisor left behind; answers how many there were.

    The kernel has told them already (engines/leash.py); they may still be at it. Instances are left to the provisioner.
    """
    record = read_record(home.state_file)
    if record is None:
        return 0
    survivors = [service.identity for service in record.survivors if service.identity]
    stop_all(survivors, grace_s=LEFTOVER_GRACE_S)
    home.state_file.unlink(missing_ok=True)
    return len(survivors)
