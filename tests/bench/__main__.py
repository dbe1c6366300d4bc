"""`python -m tests.bench [NAME …]`: measure, print a table (README's), write it and `build/bench.json`."""

import argparse
import asyncio
import json
import logging
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from os import cpu_count, getloadavg
from pathlib import Path

import structlog
import uvloop

from tests.bench import accepting, first_steps, probing, projecting, relaying, whole_platform
from tests.bench.engines import Engines, engines
from tests.bench.figures import Figure
from tests.bench.size import Size
from tests.bench.table import printed
from tests.engines.requirements import MissingOnThisMachine

Measurement = Callable[[Engines, Size], Awaitable[list[Figure]]]
BENCHES: Mapping[str, Measurement] = {
    "accept": accepting.measure,
    "relay": relaying.measure,
    "projection": projecting.measure,
    "redrop": projecting.measure_redrop,
    "first-step": first_steps.measure,
    "probes": probing.measure,
    "idle": whole_platform.measure_idle,
    "deploy": whole_platform.measure_deploying,
    "memory": whole_platform.measure_memory,
}
RESULT = Path(__file__).parents[2] / "build" / "bench.json"


async def run(names: Sequence[str], size: Size) -> tuple[list[Figure], dict[str, str]]:
    """The figures of the named benches, and why some could not be measured here."""
    figures: list[Figure] = []
    missing: dict[str, str] = {}
    with engines() as started:
        for name in names:
            print(f"==> {name}", flush=True)
            try:
                found = await BENCHES[name](started, size)
            except Exception as error:  # noqa: BLE001 - what is wrong with one figure is told, and the others are measured
                missing[name] = f"{type(error).__name__}: {error}"
                if not isinstance(error, MissingOnThisMachine):
                    traceback.print_exc()
            else:
                print(printed(found), flush=True)
                figures += found
            _write(figures, missing)  # what was measured is kept, whatever becomes of the rest
    return figures, missing


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(BENCHES)}; all when none is named")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of rounds")
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual amount of work")
    options = parser.parse_args()
    names = options.names or list(BENCHES)
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(BENCHES)}")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new topic's leaders are not known at once
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures, missing = runner.run(run(names, Size(rounds=options.rounds, scale=options.scale)))
    print(f"==> all of this run\n{printed(figures)}")
    for name, reason in missing.items():
        print(f"{name} was not measured: {reason}")
    if missing:
        sys.exit(1)


def _write(figures: Sequence[Figure], missing: Mapping[str, str]) -> None:
    machine = {"cores": cpu_count(), "load_at_end": round(getloadavg()[0], 2)}
    answer = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "figures": [figure.as_json() for figure in figures],
        "not_measured": dict(missing),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(answer, indent=2) + "\n")
    RESULT.with_suffix(".md").write_text(printed(figures) + "\n")


if __name__ == "__main__":
    main()
