"""What the end of an action means for a server and the machine behind it, in the cloud's own words for on and off."""

from collections.abc import Callable
from dataclasses import dataclass

from clawdeploy_emulators.cloud.actions import Action
from clawdeploy_emulators.cloud.cloud import Cloud
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.machines import Verb
from clawdeploy_emulators.cloud.work import Work


@dataclass(frozen=True, kw_only=True)
class Power:
    """Effects on servers of one kind; a failed action puts the state back that it began `before`, if it names one."""

    kind: str
    on: str
    off: str
    memory_mb: Callable[[Document], int]

    def start(self, work: Work, action: Action) -> None:
        """Come up: for the first time, again, or not at all when it was on already."""
        server = self._affected(work, action)
        if server is None:
            return
        if action.details.get("before") != self.on:
            self._order(work, Verb.POWER_ON if server["booted"] else Verb.BOOT, server)
        work.documents.change(self.kind, server["id"], status=self.on, booted=True)

    def stop(self, work: Work, action: Action) -> None:
        """Go off at once."""
        server = self._affected(work, action)
        if server is not None:
            self._order(work, Verb.POWER_OFF, server)
            work.documents.change(self.kind, server["id"], status=self.off)

    def restart(self, work: Work, action: Action) -> None:
        """Go off and come up again."""
        server = self._affected(work, action)
        if server is not None:
            self._order(work, Verb.POWER_OFF, server)
            self._order(work, Verb.POWER_ON, server)
            work.documents.change(self.kind, server["id"], status=self.on)

    def begin_rebuild(self, work: Work, server: Document) -> None:
        """Go off, so that nobody meets the old system once the action has ended."""
        self._order(work, Verb.POWER_OFF, server)

    def rebuild(self, work: Work, action: Action) -> None:
        """Come up on an empty disk, or as it was when that failed."""
        server = self._affected(work, action)
        if server is not None:
            self._order(work, Verb.REBUILD, server)
            work.documents.change(self.kind, server["id"], status=self.on, booted=True)
        elif (old := work.documents.find(self.kind, action.resource_id)) is not None and old["status"] == self.on:
            self._order(work, Verb.POWER_ON, old)

    def give_back(self, work: Work, action: Action) -> None:
        """Be no more, and be paid for no longer."""
        server = self._affected(work, action)
        if server is not None:
            self._order(work, Verb.DELETE, server)
            work.documents.remove(self.kind, server["id"])
            work.rentals.end(server["id"], at=action.ends_at or work.now)
            work.actions.abandon(self.kind, server["id"])

    def resume(self, cloud: Cloud) -> None:
        """Bring the machines up again that were up when the stand-in ended, and remove those of no server."""
        with cloud.work() as work:
            servers = work.documents.all(self.kind)
            cloud.machines.begin_with(frozenset(str(server["id"]) for server in servers))
            for server in servers:
                if server["status"] == self.on:
                    self._order(work, Verb.BOOT, server)

    def _order(self, work: Work, verb: Verb, server: Document) -> None:
        work.order(verb, server, memory_mb=self.memory_mb(server))

    def _affected(self, work: Work, action: Action) -> Document | None:
        if not action.fails:
            return work.documents.find(self.kind, action.resource_id)
        work.documents.change(self.kind, action.resource_id, status=action.details.get("before", self.off))
        return None
