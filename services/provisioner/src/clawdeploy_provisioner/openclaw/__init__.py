"""OpenClaw itself: installing it, writing its configuration, talking to its gateway."""
