"""What runs in a machine, told by the kind of guest that vSphere has for it (``rhel8_64Guest``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_FAMILIES: Final = {
    "windowsGuest": "windows",
    "linuxGuest": "unix",
    "solarisGuest": "unix",
    "darwinGuestFamily": "unix",
}
"""VirtualMachineGuestOsFamily; its other values tell nothing."""
_NEITHER: Final = re.compile(r"otherGuest(?:64)?|(?:dos|os2|eComStation|netware|vmNpt)\w*")
"""VirtualMachineGuestOsIdentifier: what is neither; all that is not among these and no Windows is a kind of Unix."""
_UNIX_NAME: Final = re.compile(
    r"linux|bsd|unix|solaris|mac ?os|darwin|esxi|photon|centos|ubuntu|debian", re.IGNORECASE
)
_ARM: Final = re.compile(r"^arm|\bARM\b|aarch64|arm64", re.IGNORECASE)
_64_BIT_ONLY: Final = re.compile(r"vmkernel\d|crx|windowsHyperV")


def system_of(values: Mapping[str, str]) -> dict[str, str]:
    """``osFamily``, ``osName`` and ``osArch``, each where it can be told.

    What the tools in a guest report holds over what the machine was configured for.
    """
    kind = values.get("guest.guestId") or values.get("config.guestId") or ""
    name = values.get("guest.guestFullName") or values.get("config.guestFullName") or ""
    family = _FAMILIES.get(values.get("guest.guestFamily", ""))
    found = {"osFamily": family or _family(kind, name), "osName": name, "osArch": _arch(kind, name)}
    return {key: value for key, value in found.items() if value}


def _family(kind: str, name: str) -> str:
    if kind.startswith("win") or "Windows" in name:
        return "windows"
    is_told = kind and not _NEITHER.fullmatch(kind)
    return "unix" if is_told or _UNIX_NAME.search(name) else ""


def _arch(kind: str, name: str) -> str:
    """A kind of guest for 64 bits says so, with few exceptions, and has a sibling for 32 bits that does not."""
    if _ARM.search(kind) or _ARM.search(name):
        return "aarch64"
    if kind.endswith(("64Guest", "Guest64")) or _64_BIT_ONLY.match(kind) or "64-bit" in name:
        return "amd64"
    return "x86" if kind else ""
