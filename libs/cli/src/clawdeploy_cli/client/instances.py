"""Finding the instance a person means."""

from uuid import UUID

from clawdeploy_cli.client.http import ApiClient, Json
from clawdeploy_cli.errors import NotFound, UsageProblem


def find_instance(api: ApiClient, name: str) -> Json:
    """The instance of this id, slug or name (a name only when it is the only one).

    Raises:
        NotFound: there is none.
        UsageProblem: several have that name.
    """
    if _is_id(name):
        return _by_id(api, name)
    matches = _matches(api, name)
    if not matches:
        raise NotFound(f"There is no instance called {name!r}.", hint="See what there is: claw ls")
    if len(matches) > 1:
        slugs = ", ".join(str(match["slug"]) for match in matches)
        raise UsageProblem(f"Several instances are called {name!r}.", hint=f"Use a slug instead: {slugs}")
    return matches[0]


def _by_id(api: ApiClient, instance_id: str) -> Json:
    try:
        return api.get(f"/v1/instances/{instance_id}")
    except NotFound:
        raise NotFound(f"There is no instance {instance_id}.", hint="See what there is: claw ls") from None


def live_instances(api: ApiClient) -> list[Json]:
    """Everything that is not deleted."""
    return [item for item in api.pages("/v1/instances", limit=100) if item["status"] != "deleted"]


def _matches(api: ApiClient, name: str) -> list[Json]:
    live = live_instances(api)
    return [item for item in live if item["slug"] == name] or [item for item in live if item["name"] == name]


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
