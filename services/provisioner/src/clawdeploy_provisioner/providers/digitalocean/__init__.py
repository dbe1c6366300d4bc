"""DigitalOcean: Droplets of the operator's account, reached through their own agents."""
