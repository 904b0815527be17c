"""How fast the link is that an address belongs to, as its network card says.

Asked of the kernel by ioctl, and not read below /sys, which shows the devices of the network
namespace that it was mounted in.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
from array import array
from pathlib import Path

MEGABIT = 1_000_000

_SIOCGIFADDR = 0x8915
_SIOCETHTOOL = 0x8946
_ETHTOOL_GSET = 0x00000001
#: struct ifreq: a name, then an address or a pointer.
_IFREQ = struct.Struct("16s24x")
_ADDRESS = slice(20, 24)
#: struct ethtool_cmd (linux/ethtool.h): the speed in Mbit/s is in two halves.
_COMMAND = struct.Struct("=3I H 6B 2I H 2B 3I")
_FIELDS, _SPEED, _SPEED_HIGH = 18, 3, 12
_UNKNOWN = (0, 0xFFFF, 0xFFFFFFFF)


def link_rate(address: str) -> int | None:
    """Return bits per second, or None if the card does not say, as virtual ones often don't."""
    device = _device(ipaddress.ip_address(address))
    return None if device is None else _speed(device)


def _device(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    if address.version == 6:  # noqa: PLR2004 - the protocol's name
        return _device_of_ipv6(address.packed.hex())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, _SIOCGIFADDR, _IFREQ.pack(name.encode()))
            except OSError:  # it has no IPv4 address
                continue
            if answer[_ADDRESS] == address.packed:
                return name
    return None


def _device_of_ipv6(digits: str) -> str | None:
    for line in Path("/proc/thread-self/net/if_inet6").read_text().splitlines():
        fields = line.split()
        if fields[0] == digits:
            return fields[-1]
    return None


def _speed(device: str) -> int | None:
    # The kernel writes its answer into this array, by its address.
    command = array("B", _COMMAND.pack(_ETHTOOL_GSET, *[0] * (_FIELDS - 1)))
    pointer, _ = command.buffer_info()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            fcntl.ioctl(asking, _SIOCETHTOOL, struct.pack("16sP16x", device.encode(), pointer))
        except OSError:
            return None
    fields = _COMMAND.unpack(command)
    megabits = fields[_SPEED] | fields[_SPEED_HIGH] << 16
    return None if megabits in _UNKNOWN else megabits * MEGABIT
