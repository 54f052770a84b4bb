"""Debian packages of any suite, without root and without installing them.

apt is given its lists, its status and its cache in a folder of ours, with an empty list of installed
packages: so it resolves a whole closure, works the same for any user, and knows nothing of the machine
it runs on but its proxy and certificates (``/etc/apt/apt.conf.d`` stays in force).
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tests.lab.processes import output_of

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Suite:
    """One Debian suite's main archive, for amd64 (the guests' architecture)."""

    def __init__(self, name: str, scratch: Path) -> None:
        """Fetch the suite's package lists into a scratch folder (9 MB, about 2 s)."""
        self._state = scratch / f"apt-{name}"
        for folder in ("lists/partial", "archives/partial"):
            (self._state / folder).mkdir(parents=True)
        (self._state / "status").touch()
        (self._state / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {mirror()} {name} main\n")
        self._apt("apt-get", "update")

    def closure(self, *packages: str) -> list[Path]:
        """Download packages with all they depend on."""
        self._apt("apt-get", "install", "--yes", "--no-install-recommends", "--download-only", *packages)
        return sorted((self._state / "archives").glob("*.deb"))

    def alone(self, package: str) -> Path:
        """Download one package without what it depends on."""
        folder = self._state / package
        folder.mkdir()
        self._apt("apt-get", "download", package, folder=folder)
        (deb,) = folder.glob("*.deb")
        return deb

    def dependency(self, package: str, prefix: str) -> str:
        """Name the package with this prefix that another one depends on."""
        words = self._apt("apt-cache", "depends", "--important", package).split()
        return next(word for word in words if word.startswith(prefix) and word != package)

    def _apt(self, command: str, *arguments: str, folder: Path | None = None) -> str:
        settings = {
            "Dir::State": self._state,
            "Dir::State::Lists": self._state / "lists",
            "Dir::State::Status": self._state / "status",
            "Dir::Cache": self._state,
            "Dir::Cache::Archives": self._state / "archives",
            "Dir::Etc::SourceList": self._state / "sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "APT::Sandbox::User": "root",  # as root, apt would else drop to _apt, which may not write here
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            # Images for containers delete the downloads after each command; ours are the point of it.
            "Binary::apt-get::APT::Keep-Downloaded-Packages": "true",
        }
        options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
        return output_of([command, "-qq", *options, *arguments], folder=folder)


def mirror() -> str:
    """Name the archive that this machine itself installs from, or what VIRTWIRE_DEBIAN_MIRROR says."""
    if chosen := os.environ.get("VIRTWIRE_DEBIAN_MIRROR"):
        return chosen
    listed = output_of(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]).split()
    archives = [uri for uri in listed if "debian" in uri.split("/")]  # not debian-security, not another vendor's
    if not archives:
        raise LookupError("apt's sources name no Debian archive: set VIRTWIRE_DEBIAN_MIRROR to the URL of one")
    return archives[0]


def unpack(debs: Iterable[Path], root: Path) -> None:
    """Lay packages' files into a folder; no script of theirs is run."""
    for deb in debs:
        subprocess.run(["dpkg-deb", "--extract", deb, root], check=True)


def system_tool(name: str) -> str:
    """Find a program that may live in a folder which is on root's PATH only."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise FileNotFoundError(f"{name} is not installed: run 'make setup'")
    return found
