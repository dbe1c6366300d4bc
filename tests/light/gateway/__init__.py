"""A tiny gateway: an outbox whose relay produces requests on the real topic, and the internal routes a provisioner asks."""
