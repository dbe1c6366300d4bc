"""Run the provisioner: ``python -m clawdeploy_provisioner``."""

from clawdeploy_common.service import serve
from clawdeploy_common.settings import from_environment
from clawdeploy_provisioner.main import build
from clawdeploy_provisioner.settings import ProvisionerSettings


def main() -> None:
    """Read the settings from the environment and serve until SIGTERM."""
    service, app = build(from_environment(ProvisionerSettings))
    serve(service, app, loop="asyncio")


if __name__ == "__main__":
    main()
