"""Programs from Debian's packages, unpacked below the tools' folder: nothing is installed, and no service of theirs starts."""

import shutil
import subprocess
from pathlib import Path

from tests.engines.docker_engine import TOOLS
from tests.engines.requirements import MissingOnThisMachine


def debian_package(name: str) -> Path:
    """The folder with the package's files.

    Raises:
        MissingOnThisMachine: this is no Debian, or its archive cannot be reached.
    """
    folder = TOOLS / "debian" / name
    if folder.exists():
        return folder
    if shutil.which("apt-get") is None:
        raise MissingOnThisMachine(f"needs Debian's package {name}")
    making = folder.with_suffix(".new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    if not _download(name, making):
        subprocess.run(["apt-get", "update", "-qq"], capture_output=True, check=False)
        if not _download(name, making):
            raise MissingOnThisMachine(f"Debian's package {name} cannot be fetched")
    [archive] = making.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, making / "files"], check=True)
    (making / "files").rename(folder)
    shutil.rmtree(making)
    return folder


def _download(name: str, folder: Path) -> bool:
    done = subprocess.run(["apt-get", "download", "-qq", name], cwd=folder, capture_output=True, check=False)
    return not done.returncode
