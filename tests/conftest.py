"""What holds for every test: the engines of the run, a runtime directory of its own, and a marker for each folder."""

import os
from pathlib import Path, PurePath
from typing import Any

import pytest
import structlog
from xdist.scheduler import LoadScopeScheduling

from tests.engines.shared import FOLDER_VARIABLE, SharedEngines

pytest_plugins = ["tests.engines.fixtures"]

HERE = Path(__file__).parent
ENGINES = pytest.StashKey[SharedEngines]()
ONE_AT_A_TIME = {"e2e", "chaos"}
"""Folders whose tests run whole platforms: one worker takes them all, one after the other; another takes those on containers."""

ON_CONTAINERS = ("test_docker", "test_images")
"""How the names of their modules begin."""


def pytest_configure(config: pytest.Config) -> None:
    """Start the engine host in the process that leads the run; workers of xdist find it in the environment."""
    _log_plainly()
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        config.stash[ENGINES] = SharedEngines()
    if FOLDER_VARIABLE in os.environ:
        runtime = Path(os.environ[FOLDER_VARIABLE]) / "runtime"
        runtime.mkdir(mode=0o700, exist_ok=True)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)


def _log_plainly() -> None:
    """Structlog's own traceback, with every local variable, takes seconds: whoever is tested seems dead to its broker meanwhile."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    structlog.configure(processors=[structlog.processors.add_log_level, stamp, renderer])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the engines of the run."""
    if ENGINES in config.stash:
        config.stash[ENGINES].close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its folder; undo the shuffling where the tests of a module tell one story."""
    for item in items:
        _mark(item, item.path.relative_to(HERE).parts[0])
    for story in {item.path for item in items if item.get_closest_marker("story")}:
        places = [place for place, item in enumerate(items) if item.path == story]
        told = sorted((items[place] for place in places), key=_place_in_the_story)
        for place, item in zip(places, told, strict=True):
            items[place] = item


def _place_in_the_story(item: pytest.Item) -> tuple[str, int]:
    """A story that is told several times, by a parameter of its fixture, is told to its end each time."""
    callspec = getattr(item, "callspec", None)
    telling = "" if callspec is None else str(callspec.params.get("story", ""))
    return telling, item.location[1] or 0


def _mark(item: pytest.Item, folder: str) -> None:
    if folder in {"integration", "contracts", "live", *ONE_AT_A_TIME}:
        item.add_marker(folder)
    if folder in ONE_AT_A_TIME:
        item.add_marker(pytest.mark.timeout(600))


class Turns(LoadScopeScheduling):
    """Which tests go to one worker together: whole platforms, containers, and otherwise the tests of a file.

    xdist's own groups (`--dist loadgroup`) write into a test's id, which pytest 9.2 no longer lets them, without a word.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = PurePath(nodeid.partition("::")[0])
        if not ONE_AT_A_TIME & set(path.parts):
            return str(path)
        return "containers" if path.name.startswith(ON_CONTAINERS) else "platform"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Turns:
    """Give the scheduler of a run with several workers."""
    return Turns(config, log)
