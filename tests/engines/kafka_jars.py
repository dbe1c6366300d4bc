"""The jars of Apache Kafka, fetched once by Maven from the committed `kafka/pom.xml` into `build/`."""

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.engines.requirements import MissingOnThisMachine

POM = Path(__file__).parent / "kafka" / "pom.xml"
BUILD = Path(__file__).parents[2] / "build"
INSTALL_HINT = "apt-get install openjdk-17-jre-headless maven"


def kafka_jars() -> Path:
    """Give the folder with Kafka's jars; fetch them when the pom has changed or they were never fetched.

    Raises:
        MissingOnThisMachine: there is no Java or no Maven, or Maven could not fetch them.
    """
    if shutil.which("java") is None:
        raise MissingOnThisMachine(f"Apache Kafka needs Java 17: {INSTALL_HINT}")
    folder = BUILD / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "kafka.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    if shutil.which("mvn") is None:
        raise MissingOnThisMachine(f"Apache Kafka's jars need Maven: {INSTALL_HINT}")
    staging = folder.with_suffix(".new")
    shutil.rmtree(staging, ignore_errors=True)
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={staging}"]
    command = ["mvn", "--quiet", "--batch-mode", "--strict-checksums", "--file", str(POM), *goal]
    result = subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if result.returncode != 0:
        reason = next((line for line in result.stdout.splitlines() if "[ERROR]" in line), result.stderr[-500:])
        raise MissingOnThisMachine(f"Maven could not fetch Apache Kafka: {reason}")
    staging.rename(folder)
