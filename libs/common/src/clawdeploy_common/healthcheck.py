"""``python -m clawdeploy_common.healthcheck``: whether the service of this container is ready; what an image's HEALTHCHECK runs."""

import http.client
import os
import sys

_PATIENCE_S = 4.0


def is_ready(port: int) -> bool:
    """Whether ``/readyz`` on this machine's ``port`` answers 200 within four seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_ready(int(os.environ["CLAWDEPLOY_PORT"])) else 1)
