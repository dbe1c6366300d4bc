"""Which platform a command speaks to, and with which key."""

from clawdeploy_cli import control
from clawdeploy_cli.client.http import ApiClient, Patience
from clawdeploy_cli.errors import NotReady
from clawdeploy_cli.home import open_home
from clawdeploy_cli.ports import load_ports
from clawdeploy_cli.render.console import say
from clawdeploy_cli.secret_store import load_secrets
from clawdeploy_cli.settings import DEFAULT_PORT, CliSettings, load_settings

_RESTARTS_WITHIN_S = 20.0


def connect() -> ApiClient:
    """A client of CLAWDEPLOY_URL, else of the local platform of this home; close it by `with`.

    Raises:
        NotReady: there is no API key, because no platform was ever started here.
    """
    settings = load_settings()
    return ApiClient(platform_url(settings), api_key=api_key(settings), patience=_patience(settings))


def _patience(settings: CliSettings) -> Patience:
    """A platform of this home that is up restarts whatever ends within seconds: worth waiting for."""
    if settings.url:
        return Patience(hint="CLAWDEPLOY_URL says so. A platform on this machine is started with: claw up")
    if control.running(open_home(settings.home)) is None:
        return Patience(seconds=0)
    return Patience(seconds=_RESTARTS_WITHIN_S, hint="Look at: claw status", tell=say)


def api_key(settings: CliSettings) -> str:
    """CLAWDEPLOY_API_KEY, else the key this home's platform was started with.

    Raises:
        NotReady: neither exists.
    """
    for given in (settings.api_key, None if settings.url else settings.bootstrap_api_key):
        if given is not None:
            return given.get_secret_value()
    secrets = None if settings.url else load_secrets(open_home(settings.home).secrets_file)
    if settings.url and secrets is None:
        raise NotReady(
            f"There is no API key for {settings.url}.", hint="Set CLAWDEPLOY_API_KEY to a key of that platform."
        )
    if secrets is None:
        raise NotReady("There is no API key yet.", hint="Start a platform with: claw up, or set CLAWDEPLOY_API_KEY")
    return secrets.bootstrap_api_key


def platform_url(settings: CliSettings) -> str:
    """CLAWDEPLOY_URL, else the address of this home's gateway."""
    if settings.url:
        return settings.url
    ports = load_ports(open_home(settings.home).ports_file)
    port = settings.port or (ports.gateway if ports else DEFAULT_PORT)
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - recognised, not bound
    return f"http://{host}:{port}"
