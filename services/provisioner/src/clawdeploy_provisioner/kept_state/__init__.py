"""An agent's state between two servers: read as a tar, kept encrypted in chunks, written to the next server."""
