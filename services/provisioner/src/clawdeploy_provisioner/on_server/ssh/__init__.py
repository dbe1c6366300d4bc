"""SSH to servers of a cloud account: one key pair per server, its host key pinned at first contact, argv only."""
