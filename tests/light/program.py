"""The provisioner with the light provider, as a process: `python -m tests.light.program`.

LIGHT_FOLDER is where its servers live. LIGHT_DEATHS lists moments, separated by `|`; the first of them that is reached and that
nobody died at before kills the process as `kill -9` does (LIGHT_PAUSE instead stops it, as SIGSTOP does). A moment is
"before VERB" or "after VERB" of the provider, "before METHOD /keys" or "after METHOD /keys" of OpenRouter, and "doing STEP",
"did STEP" or "told STEP": before its verb, between the verb and the commit of its outcome, and after that commit. "claiming" is
in the transaction that takes an operation, which no other runner can do at the same time.
"""

import os
import signal
from pathlib import Path
from typing import Any

from clawdeploy_common.http import AsyncClient, Response
from clawdeploy_common.service import serve
from clawdeploy_common.session import Session
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.operations import store
from clawdeploy_provisioner.operations.drive import Drive
from clawdeploy_provisioner.settings import ProvisionerSettings
from tests.light.provider import LightProvider


class Fate:
    """What happens at which moment, once in the platform's life: a moment that struck is a file in ``folder``."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._ends = {moment: signal.SIGKILL for moment in environment.get("LIGHT_DEATHS", "").split("|") if moment}
        self._ends |= {moment: signal.SIGSTOP for moment in environment.get("LIGHT_PAUSE", "").split("|") if moment}
        folder.mkdir(parents=True, exist_ok=True)

    async def __call__(self, moment: str) -> None:
        """Reach a moment, and perhaps no other."""
        if moment not in self._ends:
            return
        try:
            (self._folder / moment.replace("/", "_")).touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), self._ends[moment])


class FatefulClient(AsyncClient):
    """An HTTP client whose calls about keys are moments."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self._fate = fate

    async def request(self, method: str, url: Any, **options: Any) -> Response:
        """Call."""
        name = f"{method} /keys" if "/keys" in str(url) else ""
        if name:
            await self._fate(f"before {name}")
        response = await super().request(method, url, **options)
        if name:
            await self._fate(f"after {name}")
        return response


def _watch_steps(fate: Fate) -> None:
    """Make the engine's own steps moments."""
    attempt, end = Drive._attempt, Drive._end  # pyright: ignore[reportPrivateUsage]

    async def watched_attempt(self: Drive, row: Any, context: Any, verb: Any, *, undoing: bool, following: Any) -> None:
        await fate(f"{'undoing' if undoing else 'doing'} {row.name}")
        await attempt(self, row, context, verb, undoing=undoing, following=following)

    async def watched_end(self: Drive, row: Any, record: Any, *, state: str, following: Any) -> None:
        await fate(f"{'undid' if state == 'compensated' else 'did'} {row.name}")
        await end(self, row, record, state=state, following=following)
        await fate(f"told {row.name}")

    Drive._attempt, Drive._end = watched_attempt, watched_end  # pyright: ignore[reportPrivateUsage]


def _watch_claims(fate: Fate) -> None:
    """Make the taking of an operation a moment."""
    claim = store.claim

    async def watched_claim(session: Session, **limits: Any) -> Any:
        rows = await claim(session, **limits)
        if rows:
            await fate("claiming")
        return rows

    store.claim = watched_claim


def main() -> None:
    """Serve until told to stop, or until fate strikes."""
    folder = Path(os.environ["LIGHT_FOLDER"])
    fate = Fate(folder / "deaths", dict(os.environ))
    _watch_steps(fate)
    _watch_claims(fate)
    provider = LightProvider(folder / "servers", hook=fate)
    settings = ProvisionerSettings()  # pyright: ignore[reportCallIssue] - read from the environment
    service, app = build(settings, http=FatefulClient(fate), providers={"light": provider})
    serve(service, app)


if __name__ == "__main__":
    main()
