"""HTTP in: internal routes only; the gateway is the one public door."""
