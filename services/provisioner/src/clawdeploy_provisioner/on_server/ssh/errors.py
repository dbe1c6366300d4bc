"""What SSH to a server may raise."""

from collections.abc import Sequence
from uuid import UUID

from clawdeploy_common.errors import PermanentError, TemporaryError
from clawdeploy_provisioner.providers.protocol import ProviderError, ProviderUnavailable


class SshUnavailable(ProviderUnavailable):
    """Nothing answers, it broke off, or our key is not let in (yet: a fresh server learns it late in its first start)."""

    code = "ssh-unavailable"
    title = "The server does not answer over SSH"

    def __init__(self, server_id: UUID, reason: str) -> None:
        super().__init__(f"server {server_id} does not answer over SSH: {reason}", retry_after=5)
        self.server_id = server_id
        self.reason = reason


class NoSshLogin(ProviderError, PermanentError):
    """We have no key or no address for this server: it is gone, or was never asked for."""

    code = "no-ssh-login"
    title = "There is no SSH login for this server"

    def __init__(self, server_id: UUID) -> None:
        super().__init__(f"there is no SSH login for server {server_id}")
        self.server_id = server_id


class HostKeyChanged(ProviderError, PermanentError):
    """The server at this address is not the one we met first; nothing is sent to it."""

    code = "host-key-changed"
    title = "The server's SSH host key has changed"

    def __init__(self, server_id: UUID) -> None:
        super().__init__(
            f"server {server_id} shows another SSH host key than at first contact: it was reinstalled outside the "
            "platform, or something answers in its place. Redeploy it."
        )
        self.server_id = server_id


class CommandFailed(ProviderError, TemporaryError):
    """A program on the server ended with an error; ``last_lines`` are redacted."""

    code = "command-failed"
    title = "A program on the server failed"

    def __init__(self, program: str, exit_status: int | None, last_lines: Sequence[str]) -> None:
        tail = f": {last_lines[-1]}" if last_lines else ""
        super().__init__(f"{program} ended with {exit_status}{tail}", retry_after=10)
        self.exit_status = exit_status
        self.last_lines = list(last_lines)
