"""``python -m clawdeploy_monitor``: serve until told to stop."""

from clawdeploy_common.service import serve
from clawdeploy_monitor.main import build
from clawdeploy_monitor.settings import MonitorSettings


def main() -> None:
    """Serve until told to stop."""
    serve(*build(MonitorSettings.model_validate({})))


if __name__ == "__main__":
    main()
