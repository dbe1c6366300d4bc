"""The cloud accounts that are connected, put together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

from pydantic import SecretStr

from clawdeploy_common.database import Database
from clawdeploy_common.http import AsyncClient
from clawdeploy_provisioner.on_server.registry import AgentRegistry
from clawdeploy_provisioner.on_server.ssh.sessions import SshSessions
from clawdeploy_provisioner.providers.cloud.account import CloudAccount
from clawdeploy_provisioner.providers.cloud.provider import CloudProvider
from clawdeploy_provisioner.providers.cloud.settings import CloudSettings
from clawdeploy_provisioner.providers.cloud.survey import Surveyor
from clawdeploy_provisioner.providers.digitalocean.account import DigitalOceanAccount
from clawdeploy_provisioner.providers.digitalocean.client import DigitalOceanClient
from clawdeploy_provisioner.providers.digitalocean.survey import survey as survey_digitalocean
from clawdeploy_provisioner.providers.hetzner.account import HetznerAccount
from clawdeploy_provisioner.providers.hetzner.client import HetznerClient
from clawdeploy_provisioner.providers.hetzner.survey import survey as survey_hetzner
from clawdeploy_provisioner.providers.ovh.account import OvhAccount
from clawdeploy_provisioner.providers.ovh.choice import HOURS_A_MONTH
from clawdeploy_provisioner.providers.ovh.client import OvhClient, OvhClock, OvhKeys
from clawdeploy_provisioner.providers.ovh.orders import Orders
from clawdeploy_provisioner.providers.ovh.provider import OvhProvider
from clawdeploy_provisioner.providers.ovh.survey import survey as survey_ovh
from clawdeploy_provisioner.providers.own.account import OwnAccount
from clawdeploy_provisioner.providers.own.machines import OwnMachines
from clawdeploy_provisioner.providers.own.provider import NAME as OWN
from clawdeploy_provisioner.providers.own.provider import OwnProvider
from clawdeploy_provisioner.settings import ProvisionerSettings


def max_hourly(settings: ProvisionerSettings) -> dict[str, Decimal]:
    """The most a server may cost an hour, by cloud, net in the account's currency."""
    return {
        "hetzner": settings.hetzner_max_hourly,
        "digitalocean": settings.digitalocean_max_hourly,
        "ovh": settings.ovh_max_monthly / HOURS_A_MONTH,
    }


def surveyors(settings: ProvisionerSettings, http: AsyncClient, database: Database) -> dict[str, Surveyor]:
    """What looks at each connected account as a whole, by cloud."""
    found: dict[str, Surveyor] = {}
    if settings.hetzner_api_token is not None:
        hetzner = _hetzner_client(settings, http, database, settings.hetzner_api_token)
        found["hetzner"] = lambda: survey_hetzner(hetzner)
    if settings.digitalocean_token is not None:
        digitalocean = _digitalocean_client(settings, http, database, settings.digitalocean_token)
        found["digitalocean"] = lambda: survey_digitalocean(digitalocean)
    if settings.ovh_application_key is not None:
        ovh, tags = _ovh_clients(settings, http, database)
        found["ovh"] = lambda: survey_ovh(ovh, tags, subsidiary=settings.ovh_subsidiary)
    return {name: surveyor for name, surveyor in found.items() if name in settings.cloud_names}


@dataclass(frozen=True, kw_only=True)
class Clouds:
    """Makes the providers of clouds; each raises ValueError without its token."""

    settings: ProvisionerSettings
    http: AsyncClient
    database: Database
    agents: AgentRegistry
    ssh: SshSessions
    machines: OwnMachines

    @property
    def makers(self) -> dict[str, Callable[[], CloudProvider]]:
        """By name."""
        return {"hetzner": self._hetzner, "digitalocean": self._digitalocean, "ovh": self._ovh, OWN: self._own}

    def _hetzner(self) -> CloudProvider:
        token = self.settings.hetzner_api_token
        if token is None:
            raise ValueError("provider hetzner needs HETZNER_API_TOKEN")
        chosen = self._chosen("hetzner", image=self.settings.hetzner_image)
        client = _hetzner_client(self.settings, self.http, self.database, token)
        return self._provider("hetzner", chosen, HetznerAccount(client, chosen))

    def _digitalocean(self) -> CloudProvider:
        token = self.settings.digitalocean_token
        if token is None:
            raise ValueError("provider digitalocean needs DIGITALOCEAN_API_TOKEN")
        chosen = self._chosen("digitalocean", image=self.settings.digitalocean_image)
        client = _digitalocean_client(self.settings, self.http, self.database, token)
        return self._provider("digitalocean", chosen, DigitalOceanAccount(client, chosen))

    def _ovh(self) -> CloudProvider:
        settings = self.settings
        chosen = self._chosen("ovh", image=settings.ovh_image)
        client, tags = _ovh_clients(settings, self.http, self.database)
        orders = Orders(self.database)
        account = OvhAccount(client, tags, chosen, orders=orders, subsidiary=settings.ovh_subsidiary)
        return OvhProvider(chosen, account=account, agents=self.agents, ssh=self.ssh, ssh_port=settings.ovh_ssh_port)

    def _own(self) -> CloudProvider:
        chosen = replace(self._chosen(OWN, image=""), visibility_lag=timedelta(0))
        return OwnProvider(chosen, account=OwnAccount(self.machines), agents=self.agents, ssh=self.ssh)

    def _chosen(self, name: str, *, image: str) -> CloudSettings:
        return CloudSettings(
            platform=self.settings.platform_id,
            control_plane_url=self.settings.public_url,
            image=image,
            max_hourly=max_hourly(self.settings).get(name, Decimal(0)),
            heartbeat=timedelta(seconds=self.settings.agent_heartbeat_seconds),
            visibility_lag=timedelta(seconds=self.settings.cloud_visibility_seconds),
            delivery_patience=timedelta(seconds=self.settings.ovh_delivery_seconds if name == "ovh" else 0),
        )

    def _provider(self, name: str, chosen: CloudSettings, account: CloudAccount) -> CloudProvider:
        return CloudProvider(name, chosen, account=account, agents=self.agents, ssh=self.ssh)


def _hetzner_client(
    settings: ProvisionerSettings, http: AsyncClient, database: Database, token: SecretStr
) -> HetznerClient:
    return HetznerClient(http, database, token=token, base_url=settings.hetzner_base_url)


def _digitalocean_client(
    settings: ProvisionerSettings, http: AsyncClient, database: Database, token: SecretStr
) -> DigitalOceanClient:
    return DigitalOceanClient(http, database, token=token, base_url=settings.digitalocean_base_url)


def _ovh_clients(settings: ProvisionerSettings, http: AsyncClient, database: Database) -> tuple[OvhClient, OvhClient]:
    """For the API itself, and for the tags, which are in its version 2; by one clock."""
    keys, base_url = _ovh_keys(settings), settings.ovh_base_url.rstrip("/")
    clock, tags_url = OvhClock(http, base_url=base_url), f"{base_url.removesuffix('/1.0')}/v2"
    client = OvhClient(http, database, keys=keys, clock=clock, base_url=base_url)
    return client, OvhClient(http, database, keys=keys, clock=clock, base_url=tags_url)


def _ovh_keys(settings: ProvisionerSettings) -> OvhKeys:
    application = settings.ovh_application_key
    secret, consumer = settings.ovh_application_secret, settings.ovh_consumer_key
    if application is None or secret is None or consumer is None:
        raise ValueError("provider ovh needs OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET and OVH_CONSUMER_KEY")
    return OvhKeys(application_key=application, application_secret=secret, consumer_key=consumer)
