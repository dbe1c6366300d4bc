"""Billing projects nothing: what it keeps is money, decided once by reactors, so a replay has nothing to rebuild and re-charges nothing."""

from clawdeploy_common.handlers import Projectors

projectors = Projectors()
