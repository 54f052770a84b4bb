"""Who made the hypervisor: vhostmd asks for the vendor of a package, and we know the system that it is from."""

import platform
from collections.abc import Mapping

_SUSE = "SUSE LLC <https://www.suse.com/>"

_PACKAGERS: Mapping[str, str] = {  # by ID of os-release: what the distribution's packages name as their vendor
    "rhel": "Red Hat, Inc.",
    "centos": "CentOS",
    "fedora": "Fedora Project",
    "ol": "Oracle America",
    "almalinux": "AlmaLinux",
    "rocky": "Rocky Enterprise Software Foundation",
    "sles": _SUSE,
    "sles_sap": _SUSE,
    "sled": _SUSE,
    "opensuse-leap": _SUSE,
    "opensuse-tumbleweed": "openSUSE",
}


def vendor_of(release: Mapping[str, str]) -> str | None:
    """The vendor by what os-release says; a system whose packages name none is its own vendor."""
    told = _PACKAGERS.get(release.get("ID", "")) or release.get("VENDOR_NAME") or release.get("NAME")
    return told or None


def os_release() -> Mapping[str, str]:
    """This system's; nothing where there is none."""
    try:
        return platform.freedesktop_os_release()
    except (OSError, ValueError):
        return {}
