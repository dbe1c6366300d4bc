"""Serving a stand-in until told to stop, and the options all of them have."""

import argparse
import os
from pathlib import Path

import structlog
import uvicorn
from fastapi import FastAPI

log = structlog.get_logger()
GRACE_SECONDS = 5  # uvicorn waits for ever for an open stream unless it is told how long


def add_place(parser: argparse.ArgumentParser) -> None:
    """Where to listen, and where to keep state."""
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="SQLite file, created when absent")


def secret(given: str | None, *, variable: str) -> str:
    """A secret from the command line or, better, the environment: arguments are visible to others."""
    found = given or os.environ.get(variable)
    if not found:
        raise SystemExit(f"a secret is needed: set {variable}")
    return found


def serve(app: FastAPI, options: argparse.Namespace) -> None:
    """Serve until a signal."""
    log.info(f"{options.emulator}.starting", host=options.host, port=options.port, state=str(options.state))
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
