"""A throw-away program to supervise: listens, says when it is ready, and writes what happens to it into a journal."""

import argparse
import os
import signal
import socket
import time
from pathlib import Path
from types import FrameType


def main() -> None:
    """Live as the options say."""
    options = _options()

    def note(word: str) -> None:
        with Path(options.journal).open("a") as journal:
            journal.write(f"{word} {options.name} {os.getpid()}\n")

    def end(_number: int, _frame: FrameType | None) -> None:
        note("asked")
        if not options.stubborn:
            time.sleep(options.slow_end)
            note("ended")
            raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    note("began")
    print("hello from", options.name, flush=True)
    time.sleep(options.ready_after)
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", options.port))
        server.listen()
        note("ready")
        _serve(server, crash=options.crash)


def _serve(server: socket.socket, *, crash: bool) -> None:
    if crash:
        raise SystemExit(3)
    while True:
        client, _ = server.accept()
        with client:
            client.recv(1000)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--ready-after", type=float, default=0)
    parser.add_argument("--slow-end", type=float, default=0)
    parser.add_argument("--stubborn", action="store_true")
    parser.add_argument("--crash", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
