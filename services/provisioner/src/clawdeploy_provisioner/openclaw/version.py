"""The one OpenClaw this platform runs; `locked/package-lock.json` pins everything below it."""

OPENCLAW_VERSION = "2026.9.6"
"""Needs Node >= 24.16 (its `engines`); plugins come in the same version."""
