"""Meters, ledger and prices."""
