"""`python -m clawdeploy_emulators.machines.leave --docker URL STATE…`: remove every machine of clouds whose stand-ins have ended."""

import argparse
import asyncio
from pathlib import Path

from clawdeploy_emulators.machines.engine import Engine
from clawdeploy_emulators.machines.hypervisor import Hypervisor


async def _leave(engine: Engine, states: list[Path]) -> None:
    for state in states:
        await Hypervisor(engine, state_file=state).keep(frozenset())


def main() -> None:
    """Remove them; raises EngineTrouble."""
    parser = argparse.ArgumentParser(prog="clawdeploy_emulators.machines.leave", description=__doc__)
    parser.add_argument("--docker", required=True, help="the engine")
    parser.add_argument("states", type=Path, nargs="+", help="the state files of the clouds")
    options = parser.parse_args()
    asyncio.run(_leave(Engine(options.docker), options.states))


if __name__ == "__main__":
    main()
