"""An OpenSSH server of Debian's on a port of the loopback address, as root, with one key that may come in."""

import os
import pwd
import signal
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.engines.debian import debian_package
from tests.engines.ports import free_ports
from tests.engines.process import EngineProcess
from tests.engines.requirements import require_root


class SshServer:
    """Ours alone: its host key, its list of keys and its programs are in a folder; Debian's own server is not touched."""

    def __init__(self, folder: Path, *, public_key: str) -> None:
        self._folder = folder
        self._process = EngineProcess(log=folder / "sshd.log")
        [self.port] = free_ports(1)
        self.programs = folder / "bin"
        self.programs.mkdir()
        self._authorized = folder / "authorized_keys"
        self._authorized.write_text(f"{public_key}\n")
        self.new_host_key()

    def new_host_key(self) -> None:
        """As after a reinstallation; counts from the next start."""
        key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        file = self._folder / "host_key"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(key)

    def program(self, name: str, content: str) -> None:
        """Put a program first on the path of those who log in."""
        file = self.programs / name
        file.write_text(content)
        file.chmod(0o755)

    def start(self) -> None:
        """Begin to listen, soon."""
        server, libraries = _binaries()
        (self._folder / "sshd_config").write_text("".join(f"{line}\n" for line in self._settings(server)))
        argv = [str(server / "usr/sbin/sshd"), "-D", "-e", "-f", str(self._folder / "sshd_config")]
        self._process.start(argv, environment={"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(libraries)})

    def stop(self) -> None:
        """End it, and the connections with it."""
        sessions = subprocess.run(["pgrep", "-P", str(self._process.pid)], capture_output=True, text=True, check=False)
        for pid in sessions.stdout.split():
            os.kill(int(pid), signal.SIGTERM)
        self._process.stop(signal.SIGTERM)

    def log(self) -> str:
        """What it wrote."""
        return self._process.last_lines(200)

    def _settings(self, server: Path) -> list[str]:
        lines = [
            "ListenAddress 127.0.0.1",
            f"Port {self.port}",
            f"HostKey {self._folder / 'host_key'}",
            f"AuthorizedKeysFile {self._authorized}",
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "LogLevel VERBOSE",
            f"SetEnv PATH={self.programs}:/usr/local/bin:/usr/bin:/bin",
            "Subsystem sftp internal-sftp",
        ]
        for setting, name in (("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth")):
            program = server / "usr/lib/openssh" / name  # parts of their own since OpenSSH 9.8 and 10.0
            lines += [f"{setting} {program}"] if program.exists() else []
        return lines


def _binaries() -> tuple[Path, Path]:
    """Debian's server, and the library that it alone needs; it asks for an account and a folder of its own."""
    require_root()
    try:
        pwd.getpwnam("sshd")
    except KeyError:
        argv = ["useradd", "--system", "--no-create-home", "--home-dir", "/run/sshd", "--shell", "/usr/sbin/nologin"]
        subprocess.run([*argv, "sshd"], check=True)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    [library] = debian_package("libwrap0").rglob("libwrap.so.0")
    return debian_package("openssh-server"), library.parent
