"""The suite: unit, integration, contracts, e2e and chaos; `engines` starts what they run on."""
