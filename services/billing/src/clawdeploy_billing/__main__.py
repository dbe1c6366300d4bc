"""``python -m clawdeploy_billing``: serve until told to stop."""

from clawdeploy_billing.main import build
from clawdeploy_billing.settings import BillingSettings
from clawdeploy_common.service import serve
from clawdeploy_common.settings import from_environment


def main() -> None:
    """Serve until told to stop."""
    serve(*build(from_environment(BillingSettings)))


if __name__ == "__main__":
    main()
