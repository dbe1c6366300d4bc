"""Hetzner Cloud: servers of the operator's account, reached through their own agents."""
