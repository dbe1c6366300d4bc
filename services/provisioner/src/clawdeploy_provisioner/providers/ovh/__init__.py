"""OVHcloud: VPS that are ordered by the month, delivered when OVH has one ready, and set up over SSH."""
