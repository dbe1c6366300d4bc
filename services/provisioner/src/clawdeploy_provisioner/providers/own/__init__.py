"""Machines that the operator already has: registered, looked at over SSH, claimed one agent each, and put back as they were."""
