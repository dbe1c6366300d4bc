"""Probes, health and drift."""
