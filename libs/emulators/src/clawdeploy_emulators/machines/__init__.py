"""Servers that are whole machines: containers with systemd, cloud-init, ufw and an SSH server, each on a loopback address of its own."""
