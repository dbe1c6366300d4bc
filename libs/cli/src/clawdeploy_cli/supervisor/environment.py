"""What each process of the platform gets in its environment: what it needs, nothing more (secrets least of all)."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from clawdeploy_cli.engines.database import ServiceDatabase
from clawdeploy_cli.home import Home
from clawdeploy_cli.ports import Ports
from clawdeploy_cli.secret_store import Secrets
from clawdeploy_cli.settings import CliSettings

SERVICES = ("provisioner", "monitor", "billing", "api")
LOOPBACK = "127.0.0.1"
_ALWAYS = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
# npm and calls to outside APIs: the machine's own way out
_OUTSIDE = (
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
)
CLOUD_SECRETS = {
    "hetzner": ("HCLOUD_TOKEN",),
    "digitalocean": ("DIGITALOCEAN_TOKEN",),
    "ovh": ("OVH_APPLICATION_SECRET", "OVH_APPLICATION_KEY", "OVH_CONSUMER_KEY"),
}
CLOUD_PATHS = {"hetzner": "/v1", "digitalocean": "/v2", "ovh": "/1.0"}
_REACHES_OUT = frozenset({"provisioner", "billing"})


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """Everything the processes' environments are made of."""

    settings: CliSettings
    home: Home
    ports: Ports
    secrets: Secrets
    databases: Mapping[str, ServiceDatabase]
    kafka_bootstrap_servers: str
    kafka_settings: Mapping[str, str]

    @property
    def stand_in(self) -> bool:
        """Whether the OpenRouter stand-in runs, because no management key was given."""
        return self.settings.openrouter_management_key is None

    @property
    def public_url(self) -> str:
        return self.settings.public_url or f"http://{_reachable(self.settings.host)}:{self.ports.gateway}"


def base_environment(home: Home, *, machine: Mapping[str, str] | None = None) -> dict[str, str]:
    """What every process of ours gets of the machine's environment."""
    machine = os.environ if machine is None else machine
    kept = {name: machine[name] for name in _ALWAYS if name in machine}
    return {**kept, "XDG_RUNTIME_DIR": str(home.runtime_dir), "PYTHONUNBUFFERED": "1"}


def outside_environment(machine: Mapping[str, str] | None = None) -> dict[str, str]:
    """Proxies, certificates and npm's settings, for processes that reach outside."""
    machine = os.environ if machine is None else machine
    return {name: value for name, value in machine.items() if name.upper() in _OUTSIDE or _is_npm(name)}


def service_environment(name: str, around: Surroundings) -> dict[str, str]:
    """The environment of one of the four services."""
    database = around.databases[name]
    return {
        **base_environment(around.home),
        **(outside_environment() if name in _REACHES_OUT or around.settings.sentry_dsn else {}),
        **_sentry(around.settings),
        **around.settings.tuning,
        **around.settings.telemetry,
        **_metrics_token(around.settings),
        "CLAWDEPLOY_EMULATED_CLOUDS": ",".join(around.settings.emulated),
        "CLAWDEPLOY_CLOUDS": ",".join((*around.settings.real_clouds, *around.settings.emulated)),
        "CLAWDEPLOY_HOST": around.settings.host if name == "api" else LOOPBACK,
        "CLAWDEPLOY_PORT": str(_port(name, around.ports)),
        "CLAWDEPLOY_DATABASE_URL": database.url,
        "CLAWDEPLOY_DATABASE_WEB_URL": database.web_url,
        "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": around.kafka_bootstrap_servers,
        **around.kafka_settings,
        "CLAWDEPLOY_INTERNAL_SECRET": around.secrets.internal_secret,
        **{f"CLAWDEPLOY_{other.upper()}_URL": service_url(other, around.ports) for other in SERVICES},
        "CLAWDEPLOY_PUBLIC_URL": around.public_url,
        "CLAWDEPLOY_LOG_FORMAT": around.settings.log_format,
        **_particular(name, around),
    }


def service_url(name: str, ports: Ports) -> str:
    """Where one service reaches another."""
    return f"http://{LOOPBACK}:{_port(name, ports)}"


def openrouter_environment(around: Surroundings) -> dict[str, str]:
    """The real OpenRouter when its key was given, else the stand-in of this home."""
    key = around.settings.openrouter_management_key
    if key is not None:
        base_url, value = around.settings.openrouter_base_url, key.get_secret_value()
    else:
        base_url, value = f"http://{LOOPBACK}:{around.ports.stand_in}/api/v1", around.secrets.stand_in_management_key
    return {"OPENROUTER_MANAGEMENT_KEY": value, "OPENROUTER_BASE_URL": base_url}


def cloud_token(name: str, secrets: Secrets) -> dict[str, str]:
    """What opens a stand-in's account: made from this home's secrets, so that nothing else does."""
    key = secrets.stand_in_management_key
    first, *others = CLOUD_SECRETS[name]
    made = {first: f"{name}:{key}"} | {variable: f"{name}:{variable}:{key}" for variable in others}
    return {variable: hashlib.sha256(text.encode()).hexdigest() for variable, text in made.items()}


def hollow_ssh_port() -> int:
    """Where hollow servers listen for SSH: only root may listen on port 22."""
    return 22 if os.geteuid() == 0 else 2222


def _clouds(around: Surroundings) -> dict[str, str]:
    """The real account where a token was given, else the stand-in; our label in it names this home."""
    home = hashlib.sha256(str(around.home.path).encode()).hexdigest()[:16]
    found = {"CLAWDEPLOY_PLATFORM_ID": f"home-{home}"} if "CLAWDEPLOY_PLATFORM_ID" not in os.environ else {}
    for account in around.settings.cloud_accounts.values():
        found |= account
    if "ovh" in around.settings.emulated and around.settings.emulated_machines == "hollow":
        found["CLAWDEPLOY_OVH_SSH_PORT"] = str(hollow_ssh_port())
    for name in around.settings.emulated:
        address = f"http://{LOOPBACK}:{getattr(around.ports, name)}{CLOUD_PATHS[name]}"
        found |= cloud_token(name, around.secrets) | {f"CLAWDEPLOY_{name.upper()}_BASE_URL": address}
        found["CLAWDEPLOY_CLOUD_INVENTORY_SECONDS"] = os.environ.get("CLAWDEPLOY_CLOUD_INVENTORY_SECONDS", "5")
    return found


def _metrics_token(settings: CliSettings) -> dict[str, str]:
    token = settings.metrics_token
    return {"CLAWDEPLOY_METRICS_TOKEN": token.get_secret_value()} if token else {}


def _sentry(settings: CliSettings) -> dict[str, str]:
    return {"SENTRY_DSN": settings.sentry_dsn.get_secret_value()} if settings.sentry_dsn else {}


def _particular(name: str, around: Surroundings) -> dict[str, str]:
    if name == "api":
        key = around.settings.bootstrap_api_key
        return {"CLAWDEPLOY_BOOTSTRAP_API_KEY": key.get_secret_value() if key else around.secrets.bootstrap_api_key}
    if name == "provisioner":
        return {**openrouter_environment(around), **_provisioner_environment(around)}
    return {**openrouter_environment(around), **_billing_environment(around)} if name == "billing" else {}


def _billing_environment(around: Surroundings) -> dict[str, str]:
    """The stand-in may be asked often: what a chat cost shows within seconds. The real one is asked as billing's default says."""
    name = "CLAWDEPLOY_BILLING_USAGE_INTERVAL_SECONDS"
    return {name: "5"} if around.stand_in and name not in os.environ else {}


def _provisioner_environment(around: Surroundings) -> dict[str, str]:
    key, image = around.settings.encryption_key, around.settings.openclaw_image
    previous = around.settings.encryption_key_previous
    return {
        **({"OPENCLAW_IMAGE": image} if image else {}),
        **_clouds(around),
        **({"ENCRYPTION_KEY_PREVIOUS": previous.get_secret_value()} if previous else {}),
        "ENCRYPTION_KEY": key.get_secret_value() if key else around.secrets.encryption_key,
        "CLAWDEPLOY_INSTANCES_DIR": str(around.home.instances),
        "CLAWDEPLOY_TOOLS_DIR": str(around.home.tools),
        "CLAWDEPLOY_PROCESS_PORT_FIRST": str(around.ports.instances_first),
        "CLAWDEPLOY_PROCESS_PORT_COUNT": str(around.ports.instances_count),
    }


def _port(name: str, ports: Ports) -> int:
    return ports.gateway if name == "api" else int(getattr(ports, name))


def _reachable(host: str) -> str:
    return LOOPBACK if host in {"0.0.0.0", "::"} else host  # noqa: S104 - recognised, not bound


def _is_npm(name: str) -> bool:
    return name.lower().startswith("npm_config_")
