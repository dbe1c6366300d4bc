"""``python -m clawdeploy_monitor``: serve until told to stop."""

from clawdeploy_common.service import serve
from clawdeploy_common.settings import from_environment
from clawdeploy_monitor.main import build
from clawdeploy_monitor.settings import MonitorSettings


def main() -> None:
    """Serve until told to stop."""
    serve(*build(from_environment(MonitorSettings)))


if __name__ == "__main__":
    main()
