"""A program for a warm parent to fork: writes what it finds about itself, then lives until it is told to end."""

import json
import os
import random
import socket
import sys
from pathlib import Path

from clawdeploy_common.ids import new_id


def main() -> None:
    """Say who we are; be ready from then on."""
    found = {
        "arguments": sys.argv[1:],
        "environment": dict(os.environ),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "drawn": [str(new_id()), random.getrandbits(64), os.urandom(8).hex()],
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }
    print(json.dumps(found))
    with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
        while True:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


if __name__ == "__main__":
    main()
