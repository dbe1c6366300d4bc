"""The claw command line and the local supervisor."""
