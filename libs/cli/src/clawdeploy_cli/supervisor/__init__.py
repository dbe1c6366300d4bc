"""The local supervisor: starts the platform's processes in order, watches them, restarts and stops them."""
