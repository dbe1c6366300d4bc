"""Fields that events were given after their samples were frozen, with what an older producer's silence means.

Each is told here, so that no field is added, renamed or given another default by oversight.
"""

from typing import Any

ADDED_LATER: dict[str, dict[str, Any]] = {
    "instance.redeploy_requested.v1": {"in_place": False, "keep_state": False},
    "server.destroyed.v1": {"paid_until": None, "refunded": False},
}
