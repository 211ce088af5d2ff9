"""A network namespace of this process's own, with a TUN device in it; both are gone when its processes are.

Nothing of the host's network is touched or can be reached from inside, and there is nothing to clean up.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

__all__ = ["ADDRESS", "NETWORK", "PEER", "Unprivileged", "enter", "open_tun"]

#: The target's address, the harness's, and the network of both; they exist inside the namespace alone.
ADDRESS = "10.255.255.1"
PEER = "10.255.255.2"
NETWORK = "10.255.255.0/24"
_MASK = "255.255.255.0"

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_IFF_UP_RUNNING = 0x41


class Unprivileged(Exception):
    """This process may not make a namespace or a device; the message says which and what would help."""


def _unshare(flags: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if libc.unshare(flags) == 0 else ctypes.get_errno()


def enter() -> None:
    """Move this process, which must have a single thread, into a new network namespace; there is no way back.

    Without the privilege a user namespace is made around it, where the kernel allows that.

    Raises:
        Unprivileged: neither is allowed.
    """
    user, group = os.getuid(), os.getgid()
    if _unshare(_CLONE_NEWNET) == 0:
        return
    failed = _unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    if failed:
        why = os.strerror(failed) if failed != errno.EPERM else "not permitted"
        raise Unprivileged(f"no network namespace can be made ({why}): run as root, or allow user namespaces")
    try:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    except OSError as error:
        raise Unprivileged(f"a user namespace is of no use here ({error.strerror}): run as root") from error


def open_tun() -> int:
    """Make a TUN device, give the kernel's end `ADDRESS`, and return a non-blocking descriptor of ours.

    Raises:
        Unprivileged: there is no /dev/net/tun, or it may not be used.
    """
    name = b"pspec0"
    try:
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unprivileged(f"/dev/net/tun cannot be opened ({error.strerror}): load the module tun") from error
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name, _IFF_TUN_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            for request, address in ((_SIOCSIFADDR, ADDRESS), (_SIOCSIFNETMASK, _MASK)):
                packed = struct.pack("16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(address))
                fcntl.ioctl(control, request, packed)
            for device in (name, b"lo"):
                fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH22x", device, _IFF_UP_RUNNING))
    except OSError as error:
        os.close(descriptor)
        raise Unprivileged(f"no TUN device can be made ({error.strerror}): run as root") from error
    return descriptor
