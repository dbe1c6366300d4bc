"""``python -m clawdeploy_api``: the gateway, configured by its environment."""

from clawdeploy_api.main import build
from clawdeploy_api.settings import ApiSettings
from clawdeploy_common.service import serve
from clawdeploy_common.settings import from_environment


def main() -> None:
    """Serve until told to stop."""
    service, app = build(from_environment(ApiSettings))
    serve(service, app)


if __name__ == "__main__":
    main()
