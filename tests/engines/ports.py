"""Free TCP ports of the loopback address."""

import socket


def free_ports(count: int) -> list[int]:
    """Give ports that nobody listens on now. All are held until the last is found, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
