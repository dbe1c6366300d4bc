"""What holds for every test: the engines of the run, a runtime directory of its own, and a marker for each folder."""

import os
from pathlib import Path

import pytest

from tests.engines.shared import FOLDER_VARIABLE, SharedEngines

pytest_plugins = ["tests.engines.fixtures"]

HERE = Path(__file__).parent
ENGINES = pytest.StashKey[SharedEngines]()
ONE_AT_A_TIME = {"e2e", "chaos"}
"""Folders whose tests run whole platforms: one worker takes them all, one after the other; another takes those on containers."""

ON_CONTAINERS = {"docker_url", "docker_with_openclaw"}


def pytest_configure(config: pytest.Config) -> None:
    """Start the engine host in the process that leads the run; workers of xdist find it in the environment."""
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[ENGINES] = SharedEngines()
    if FOLDER_VARIABLE in os.environ:
        runtime = Path(os.environ[FOLDER_VARIABLE]) / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the engines of the run."""
    if ENGINES in config.stash:
        config.stash[ENGINES].close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder, before xdist looks for groups; undo the shuffling where the tests of a module tell one story."""
    for item in items:
        _mark(item, item.path.relative_to(HERE).parts[0])
    for story in {item.path for item in items if item.get_closest_marker("story")}:
        places = [place for place, item in enumerate(items) if item.path == story]
        told = sorted((items[place] for place in places), key=lambda item: item.location[1] or 0)
        for place, item in zip(places, told, strict=True):
            items[place] = item


def _mark(item: pytest.Item, folder: str) -> None:
    if folder in {"integration", "contracts", *ONE_AT_A_TIME}:
        item.add_marker(folder)
    if folder in ONE_AT_A_TIME:
        group = "containers" if ON_CONTAINERS & set(getattr(item, "fixturenames", ())) else "platform"
        item.add_marker(pytest.mark.xdist_group(group))
        item.add_marker(pytest.mark.timeout(600))
