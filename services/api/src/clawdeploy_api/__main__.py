"""``python -m clawdeploy_api``: the gateway, configured by its environment."""

from clawdeploy_api.main import build
from clawdeploy_api.settings import ApiSettings
from clawdeploy_common.service import serve


def main() -> None:
    """Serve until told to stop."""
    service, app = build(ApiSettings())  # pyright: ignore[reportCallIssue] - read from the environment
    serve(service, app)


if __name__ == "__main__":
    main()
