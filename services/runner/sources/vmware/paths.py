"""Which properties of the vSphere API's VirtualMachine are read.

Single values only, each by its path: whole objects are a hundred times as much. All have been there since vSphere
5.5, the oldest version that is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

BASE: Final = (
    "name", "parent", "parentVApp", "config.instanceUuid", "config.uuid", "config.template", "config.guestFullName",
    "config.guestId", "guest.guestFamily", "guest.guestFullName", "guest.guestId", "guest.hostName",
    "guest.ipAddress", "runtime.host", "runtime.powerState",
)  # fmt: skip
"""What every node is made of."""
ADDRESSES: Final = "guest.net"
"""The guest's network cards; the one list among all this."""

_GUEST: Final = (
    "appHeartbeatStatus", "appState", "guestFamily", "guestFullName", "guestId", "guestOperationsReady", "guestState",
    "hostName", "interactiveGuestOperationsReady", "ipAddress", "toolsRunningStatus", "toolsStatus", "toolsVersion",
    "toolsVersionStatus2",
)  # fmt: skip
_CONFIG: Final = (
    "alternateGuestName", "annotation", "changeTrackingEnabled", "cpuHotAddEnabled", "cpuHotRemoveEnabled",
    "files.vmPathName", "firmware", "guestFullName", "guestId", "hardware.memoryMB", "hardware.numCPU",
    "hardware.numCoresPerSocket", "instanceUuid", "locationId", "memoryHotAddEnabled", "memoryReservationLockedToMax",
    "modified", "name", "nestedHVEnabled", "swapPlacement", "template", "uuid", "version",
)  # fmt: skip
_RUNTIME: Final = (
    "bootTime", "cleanPowerOff", "connectionState", "consolidationNeeded", "faultToleranceState", "maxCpuUsage",
    "maxMemoryUsage", "minRequiredEVCModeKey", "needSecondaryReason", "onlineStandby", "powerState",
    "recordReplayState", "suspendInterval", "suspendTime", "toolsInstallerMounted",
)  # fmt: skip
_SUMMARY: Final = (
    "config.annotation", "config.cpuReservation", "config.guestFullName", "config.guestId",
    "config.installBootRequired", "config.instanceUuid", "config.memoryReservation", "config.memorySizeMB",
    "config.name", "config.numCpu", "config.numEthernetCards", "config.numVirtualDisks", "config.template",
    "config.uuid", "config.vmPathName", "guest.guestFullName", "guest.guestId", "guest.hostName", "guest.ipAddress",
    "guest.toolsRunningStatus", "guest.toolsStatus", "guest.toolsVersionStatus2", "overallStatus",
    "quickStats.balloonedMemory", "quickStats.compressedMemory", "quickStats.consumedOverheadMemory",
    "quickStats.guestHeartbeatStatus", "quickStats.guestMemoryUsage", "quickStats.hostMemoryUsage",
    "quickStats.overallCpuDemand", "quickStats.overallCpuUsage", "quickStats.privateMemory",
    "quickStats.sharedMemory", "quickStats.swappedMemory", "quickStats.uptimeSeconds", "runtime.bootTime",
    "runtime.connectionState", "runtime.maxCpuUsage", "runtime.maxMemoryUsage", "runtime.powerState",
    "storage.committed", "storage.timestamp", "storage.uncommitted", "storage.unshared",
)  # fmt: skip
GROUPS: Final = {"guest": _GUEST, "config": _CONFIG, "runtime": _RUNTIME, "summary": _SUMMARY}
_PATH: Final = re.compile(rf"(?:{'|'.join(GROUPS)})(?:\.[A-Za-z]\w*)+", re.ASCII)


def paths_of(groups: Collection[str], named: Collection[str], *, with_addresses: bool) -> list[str]:
    """The paths to read, each once: of groups (names of ``GROUPS``), and facts of settings that are such paths."""
    paths = {*BASE, *(path for path in named if _PATH.fullmatch(path))}
    paths.update(f"{group}.{name}" for group in groups for name in GROUPS[group])
    if with_addresses:
        paths.add(ADDRESSES)
    return sorted(paths)
