"""The commands: what a person types, and nothing that must be loaded before it is typed."""
