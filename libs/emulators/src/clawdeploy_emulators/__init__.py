"""Stand-ins of outside APIs, for the demo and the tests."""
