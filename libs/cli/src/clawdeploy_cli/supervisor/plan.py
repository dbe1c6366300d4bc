"""Which processes make up this platform, and in which order: engines, the stand-in, the four services."""

import asyncio
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from clawdeploy_cli.engines import broker, database, postgres
from clawdeploy_cli.engines.leash import leashed
from clawdeploy_cli.home import Home
from clawdeploy_cli.ports import Ports
from clawdeploy_cli.secret_store import Secrets, write_private
from clawdeploy_cli.settings import CliSettings
from clawdeploy_cli.supervisor.environment import (
    LOOPBACK,
    SERVICES,
    Surroundings,
    base_environment,
    cloud_token,
    hollow_ssh_port,
    outside_environment,
    service_environment,
)
from clawdeploy_cli.supervisor.forked import is_there
from clawdeploy_cli.supervisor.readiness import http_ok, port_open
from clawdeploy_cli.supervisor.spec import ProcessSpec

POSTGRES, BROKER, STAND_IN, WARM_PARENT = "postgres", "broker", "openrouter-stand-in", "warm-parent"
SHARED = ("clawdeploy_common.service", "alembic.migration", "alembic.operations", "alembic.script", "uvloop")
"""What each of the four services imports, and none has reason to change."""
DATABASE = "clawdeploy"
STAGE_SERVICES, STAGE_STAND_IN, STAGE_ENGINES = 0, 1, 2


@dataclass(frozen=True, kw_only=True)
class PlatformPlan:
    """The processes of one platform, and what people are told about it."""

    specs: tuple[ProcessSpec, ...]
    url: str
    stand_in: bool


def plan_platform(settings: CliSettings, *, home: Home, ports: Ports, secrets: Secrets) -> PlatformPlan:
    """Decide which processes run. Engines whose address was given are watched instead of started."""
    admin_url, postgres_spec = _postgres(settings, home=home, ports=ports, secrets=secrets)
    around = Surroundings(
        settings=settings,
        home=home,
        ports=ports,
        secrets=secrets,
        databases=_service_databases(admin_url, secrets.database_passwords),
        kafka_bootstrap_servers=settings.kafka_bootstrap_servers or f"{LOOPBACK}:{ports.broker}",
        kafka_settings={} if settings.kafka_bootstrap_servers else broker.CLIENT_SETTINGS,
    )
    specs = [postgres_spec, _broker(around), _warm_parent(around)]
    specs += [_stand_in(around)] if around.stand_in else []
    specs += [_emulated_cloud(name, around) for name in settings.emulated]
    specs += [_service(name, around) for name in SERVICES]
    return PlatformPlan(specs=tuple(specs), url=around.public_url, stand_in=around.stand_in)


def embedded_postgres(home: Home, ports: Ports, secrets: Secrets) -> postgres.EmbeddedPostgres:
    """The home's own database server."""
    password_file = home.path / "postgres.password"
    if not password_file.exists():
        write_private(password_file, secrets.postgres_admin_password)
    return postgres.EmbeddedPostgres(data_dir=home.path / "postgres", port=ports.postgres, password_file=password_file)


def _postgres(settings: CliSettings, *, home: Home, ports: Ports, secrets: Secrets) -> tuple[str, ProcessSpec]:
    """The administrator's address, and the server's process (or only a watch on it)."""
    if settings.database_url is not None:
        return _given_postgres(settings.database_url.get_secret_value(), home=home, secrets=secrets)
    server = embedded_postgres(home, ports, secrets)

    async def prepare() -> None:
        await asyncio.to_thread(server.prepare)

    async def on_ready() -> None:
        await database.prepare_database(server.admin_url, database=DATABASE, passwords=secrets.database_passwords)

    return server.admin_url, ProcessSpec(
        name=POSTGRES,
        argv=tuple(server.command()),
        environment=server.environment(),
        log=home.logs / "postgres.log",
        address=f"{LOOPBACK}:{ports.postgres}",
        is_ready=server.is_ready,
        prepare=prepare,
        on_ready=on_ready,
        stop_signal=signal.Signals(postgres.STOP_SIGNAL),
        stop_stage=STAGE_ENGINES,
    )


def _given_postgres(url: str, *, home: Home, secrets: Secrets) -> tuple[str, ProcessSpec]:
    parts = urlsplit(url)
    name = _database_name(url)

    host, port = parts.hostname or LOOPBACK, parts.port or 5432

    async def on_ready() -> None:
        await database.prepare_database(url, database=name, passwords=secrets.database_passwords)

    spec = ProcessSpec(
        name=POSTGRES,
        log=home.logs / "postgres.log",
        address=f"{host}:{port}",
        is_ready=port_open(host, port),
        on_ready=on_ready,
    )
    return url, spec


def _broker(around: Surroundings) -> ProcessSpec:
    bootstrap = around.kafka_bootstrap_servers
    log = around.home.logs / "broker.log"
    if around.settings.kafka_bootstrap_servers:

        async def answers() -> bool:
            return await broker.answers_metadata(bootstrap)

        return ProcessSpec(name=BROKER, log=log, address=bootstrap, is_ready=answers)
    embedded = broker.EmbeddedBroker(port=around.ports.broker)
    return ProcessSpec(
        name=BROKER,
        argv=tuple(embedded.command()),
        environment=embedded.environment(),
        log=log,
        address=bootstrap,
        is_ready=embedded.is_ready,
        stop_signal=signal.Signals(broker.STOP_SIGNAL),
        stop_stage=STAGE_ENGINES,
    )


def _stand_in(around: Surroundings) -> ProcessSpec:
    port = around.ports.stand_in
    argv = (sys.executable, "-m", "clawdeploy_emulators", "openrouter", "--port", str(port))
    state = around.home.stand_in / "state.sqlite"
    return ProcessSpec(
        name=STAND_IN,
        argv=tuple(leashed([*argv, "--state", str(state)])),
        environment={
            **base_environment(around.home),
            "OPENROUTER_MANAGEMENT_KEY": around.secrets.stand_in_management_key,
        },
        log=around.home.logs / f"{STAND_IN}.log",
        address=f"http://{LOOPBACK}:{port}",
        is_ready=http_ok(LOOPBACK, port, "/healthz"),
        stop_stage=STAGE_STAND_IN,
    )


def _emulated_cloud(name: str, around: Surroundings) -> ProcessSpec:
    port = int(getattr(around.ports, name))
    argv = (sys.executable, "-m", "clawdeploy_emulators", name, "--port", str(port))
    state = around.home.stand_in / f"{name}.sqlite"
    return ProcessSpec(
        name=f"{name}-stand-in",
        argv=tuple(leashed([*argv, "--state", str(state), *_machines(name, around)])),
        environment={**base_environment(around.home), **outside_environment(), **cloud_token(name, around.secrets)},
        log=around.home.logs / f"{name}-stand-in.log",
        address=f"http://{LOOPBACK}:{port}",
        is_ready=http_ok(LOOPBACK, port, "/healthz"),
        stop_stage=STAGE_STAND_IN,
    )


def _machines(name: str, around: Surroundings) -> list[str]:
    """What its servers are; real ones reach the gateway, and the stand-in of their model provider."""
    if name == "ovh" and around.settings.emulated_machines == "hollow":
        return ["--machines", "hollow", "--ssh-port", str(hollow_ssh_port())]
    settings, ports = around.settings, [around.ports.gateway] + ([around.ports.stand_in] if around.stand_in else [])
    reach = [word for port in ports for word in ("--reach", str(port))]
    return [
        "--machines",
        settings.emulated_machines,
        "--docker",
        settings.docker,
        "--tools",
        str(around.home.tools),
        *reach,
    ]


def _warm_parent(around: Surroundings) -> ProcessSpec:
    """What it is started with, every service can read (proc(5), environ): nothing secret."""
    argv = (sys.executable, "-m", "clawdeploy_cli.supervisor.warm_parent", str(around.home.warm_parent), *SHARED)
    return ProcessSpec(
        name=WARM_PARENT,
        argv=tuple(leashed(argv)),
        environment=base_environment(around.home),
        log=around.home.logs / f"{WARM_PARENT}.log",
        is_ready=is_there(around.home.warm_parent),
        stop_stage=STAGE_SERVICES,
    )


def _service(name: str, around: Surroundings) -> ProcessSpec:
    environment = service_environment(name, around)
    host, port = environment["CLAWDEPLOY_HOST"], int(environment["CLAWDEPLOY_PORT"])
    return ProcessSpec(
        name=name,
        argv=(sys.executable, "-m", f"clawdeploy_{name}"),
        environment=environment,
        log=around.home.logs / f"{name}.log",
        address=f"http://{host}:{port}",
        is_ready=http_ok(_probe_host(host), port, "/readyz"),
        needs=(POSTGRES, BROKER, WARM_PARENT),
        stop_stage=STAGE_SERVICES,
        warm_parent=around.home.warm_parent,
    )


def _probe_host(host: str) -> str:
    return LOOPBACK if host == "0.0.0.0" else host  # noqa: S104 - recognised, not bound


def _service_databases(admin_url: str, passwords: Mapping[str, str]) -> dict[str, database.ServiceDatabase]:
    def role(name: str) -> str:
        return database.with_role(admin_url, role=name, password=passwords[name], database=_database_name(admin_url))

    return {name: database.ServiceDatabase(url=role(name), web_url=role(database.web_role(name))) for name in SERVICES}


def _database_name(admin_url: str) -> str:
    """The database named in an administrator's address; ours, when that is only the server's own."""
    named = urlsplit(admin_url).path.strip("/")
    return DATABASE if named in {"", "postgres", "template1"} else named
