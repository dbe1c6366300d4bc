"""The public API, as the command line speaks it."""
