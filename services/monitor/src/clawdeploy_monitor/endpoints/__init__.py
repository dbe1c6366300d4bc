"""The monitor over HTTP: internal routes only."""
