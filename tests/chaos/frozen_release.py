"""The release before, as it was frozen by scripts/freeze-release.sh: its services' code, to run beside today's."""

import os
import tarfile
from pathlib import Path

FROZEN = Path(__file__).parents[1] / "contracts" / "release" / "services.tar.xz"


def unpack(folder: Path) -> str:
    """Unpack it into the folder; gives the PYTHONPATH under which Python finds it before what is installed."""
    with tarfile.open(FROZEN) as archive:
        archive.extractall(folder, filter="data")
    sources = sorted(folder.glob("*/*/src"))
    return os.pathsep.join(map(str, (folder, *sources)))
