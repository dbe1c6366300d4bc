"""Starting, stopping and destroying agents."""

from clawdeploy_cli.actions.await_change import conclude, follow, raise_unless_succeeded
from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import Json
from clawdeploy_cli.client.instances import find_instance
from clawdeploy_cli.client.operations import active_operation
from clawdeploy_cli.errors import Refused
from clawdeploy_cli.render.ask import confirm
from clawdeploy_cli.render.console import print_json, say

_DOING = {
    "start": "Starting",
    "stop": "Stopping",
    "restart": "Restarting",
    "redeploy": "Redeploying",
    "pause": "Pausing",
    "resume": "Resuming",
}


def change_instance(name: str, verb: str, *, wait: bool, as_json: bool, how: Json | None = None) -> None:
    """`claw start|stop|restart|redeploy|pause|resume`."""
    with connect() as api:
        instance = find_instance(api, name)
        changed = api.post(f"/v1/instances/{instance['id']}/{verb}", how)
        conclude(api, changed, doing=_DOING[verb], wait=wait, as_json=as_json)


def cancel_operation(name: str, *, wait: bool, as_json: bool) -> None:
    """`claw cancel`.

    Raises:
        Refused: there is nothing to cancel, or what goes on cannot be cancelled.
    """
    with connect() as api:
        instance = find_instance(api, name)
        operation_id = active_operation(instance)
        if operation_id is None:
            raise Refused(f"{instance['name']} is in no operation.", hint=f"See: claw operations {instance['slug']}")
        operation = api.post(f"/v1/operations/{operation_id}/cancel")
        if wait:
            operation = follow(api, operation_id, title=f"Cancelling the {operation['kind']} of {instance['name']}")
    if as_json:
        print_json(operation)
    else:
        state = operation["state"] if wait else "its cancellation is asked for"
        say(f"{operation['kind']} of {instance['name']}: {state}.")


def destroy_instance(name: str, *, yes: bool, wait: bool, as_json: bool) -> None:
    """`claw destroy`."""
    with connect() as api:
        instance = find_instance(api, name)
        confirm(f"Destroy {instance['name']} ({instance['slug']}) and everything it has?", yes=yes)
        deleting = api.delete(f"/v1/instances/{instance['id']}")
        operation_id = active_operation(deleting)
        if wait and operation_id:
            raise_unless_succeeded(follow(api, operation_id, title=f"Destroying {instance['name']}"), instance)
    _say_destroyed(deleting, waited=wait, as_json=as_json)


def _say_destroyed(instance: Json, *, waited: bool, as_json: bool) -> None:
    if as_json:
        print_json({**instance, "status": "deleted"} if waited else instance)
    else:
        say(f"{instance['name']} is gone." if waited else f"{instance['name']} is being destroyed.")
