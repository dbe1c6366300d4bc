"""The catalogue of events ClawDeploy's services speak; one module per producing service.

The key of an event (``ce_subject``) is the id of the aggregate it tells of: the instance, unless its class says otherwise. Events name
configurations and secrets by version and hash and hold no personal data.
"""

from clawdeploy_events import billing, deployments, health, lifecycle

__all__ = ["billing", "deployments", "health", "lifecycle"]
