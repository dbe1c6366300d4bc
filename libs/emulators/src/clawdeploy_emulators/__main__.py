"""`python -m clawdeploy_emulators openrouter --port N --state FILE`: serve a stand-in until told to stop."""

import argparse
import os
from pathlib import Path

import structlog
import uvicorn

from clawdeploy_emulators.openrouter import OpenRouterSettings, create_openrouter

log = structlog.get_logger()
KEY_VARIABLE = "OPENROUTER_MANAGEMENT_KEY"
GRACE_SECONDS = 5  # uvicorn waits for ever for an open stream unless it is told how long


def main() -> None:
    """Serve the stand-in the command line asks for."""
    options = _parser().parse_args()
    settings = OpenRouterSettings(
        state_file=options.state,
        management_key=_management_key(options.management_key),
        chunk_delay_seconds=options.chunk_delay,
    )
    app = create_openrouter(settings)
    log.info("openrouter.starting", host=options.host, port=options.port, state=str(options.state))
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        access_log=False,
        ws="none",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="clawdeploy_emulators", description=__doc__)
    emulators = parser.add_subparsers(required=True, metavar="EMULATOR")
    openrouter = emulators.add_parser("openrouter", help="keys, credits, activity, models and chat completions")
    openrouter.add_argument("--host", default="127.0.0.1")
    openrouter.add_argument("--port", type=int, required=True)
    openrouter.add_argument("--state", type=Path, required=True, help="SQLite file, created when absent")
    openrouter.add_argument("--management-key", help=f"better given as {KEY_VARIABLE}: arguments are visible to others")
    openrouter.add_argument("--chunk-delay", type=float, default=0.015, help="seconds between pieces of a stream")
    return parser


def _management_key(given: str | None) -> str:
    key = given or os.environ.get(KEY_VARIABLE)
    if not key:
        raise SystemExit(f"a management key is needed: set {KEY_VARIABLE}")
    return key


if __name__ == "__main__":
    main()
