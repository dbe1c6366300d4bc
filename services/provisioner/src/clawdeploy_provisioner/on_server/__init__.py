"""The on-server agent: its program, what it may ask, and what it said last (docs/on-server-agent.md)."""
