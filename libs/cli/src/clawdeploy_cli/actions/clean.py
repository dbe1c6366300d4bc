"""Deleting a home."""

import shutil

from clawdeploy_cli import control
from clawdeploy_cli.engines.postgres import EmbeddedPostgres
from clawdeploy_cli.errors import Refused
from clawdeploy_cli.home import Home, open_home
from clawdeploy_cli.render.ask import confirm
from clawdeploy_cli.render.console import print_json, say
from clawdeploy_cli.render.waiting import waiting
from clawdeploy_cli.settings import load_settings
from clawdeploy_cli.supervisor.containers import remove_containers


def clean_home(*, yes: bool, as_json: bool) -> None:
    """`claw clean`; where there is nothing to clean, that is said and all is well.

    Raises:
        Refused: the person said no, or agents in containers cannot be removed.
    """
    home = open_home(load_settings().home)
    if not home.exists:
        say(f"There is no platform in {home.path}.")
        if as_json:
            print_json({"deleted": None})
        return
    confirm(f"Stop the platform and delete {home.path} with all its agents, data and secrets?", yes=yes)
    with waiting(f"Deleting {home.path}"):
        control.stop(home)
        if not remove_containers(home):
            raise Refused(
                "The agents in containers could not all be removed: their Docker engine does not answer.",
                hint="Start the engine and try again; nothing else was deleted.",
            )
        _delete(home)
    if as_json:
        print_json({"deleted": str(home.path)})
    else:
        say(f"Deleted {home.path}.")


def _delete(home: Home) -> None:
    data = home.path / "postgres"
    if data.exists() or data.is_symlink():
        EmbeddedPostgres(data_dir=data, port=0, password_file=home.path / "postgres.password").remove()
    if home.shared != home.path:
        shutil.rmtree(home.shared, ignore_errors=True)
    shutil.rmtree(home.path)
