"""What the processes of one server see of the machine: a mount namespace of their own, with files of ours in it.

Most mail servers look every claimed address up. Here they find a resolver at which nobody listens, so that no question
leaves the machine and every answer is a refusal at once.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxyspec_server.adapters.errors import AdapterError

__all__ = ["ACCOUNTS", "accounts", "no_lookups", "orphans_come_here", "parts_with", "see"]

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 0x40000
_PDEATHSIG, _SUBREAPER = 1, 36

_RESOLVER: Final = "nameserver 127.255.255.254\noptions timeout:1 attempts:1\n"
_SWITCH: Final = "passwd: files\ngroup: files\nshadow: files\nhosts: files\nservices: files\nprotocols: files\n"
#: Users the packages would make, by name: theirs for these processes alone.
ACCOUNTS: Final = (
    "Debian-exim",
    "postfix",
    "opensmtpd",
    "opensmtpq",
    "dovecot",
    "dovenull",
)
_FIRST_ID: Final = 64100


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def accounts(folder: Path) -> dict[str, Path]:
    """Write `passwd` and `group` with the machine's accounts and `ACCOUNTS`; return them as bindings."""
    users, groups = Path("/etc/passwd").read_text(), Path("/etc/group").read_text()
    for number, name in enumerate(ACCOUNTS, _FIRST_ID):
        users += f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n" * (f"\n{name}:" not in users)
        groups += f"{name}:x:{number}:\n" * (f"\n{name}:" not in groups)
    groups += "postdrop:x:64199:\n" * ("\npostdrop:" not in groups)
    (folder / "passwd").write_text(users)
    (folder / "group").write_text(groups)
    return {"/etc/passwd": folder / "passwd", "/etc/group": folder / "group"}


def no_lookups(folder: Path) -> dict[str, Path]:
    """Write a resolver configuration that asks nobody; return it as bindings."""
    (folder / "resolv.conf").write_text(_RESOLVER)
    (folder / "nsswitch.conf").write_text(_SWITCH)
    found = {"/etc/resolv.conf": folder / "resolv.conf", "/etc/nsswitch.conf": folder / "nsswitch.conf"}
    return {place: file for place, file in found.items() if Path(place).exists()}


def see(bindings: Mapping[str, Path], layers: Mapping[str, Path]) -> None:
    """Give this process, and those it starts from now on, a view of the files in which each key is what its value is.

    Of `layers` each value lies on top of its key, whose other entries stay.

    Raises:
        AdapterError: the kernel refuses, as in a container without the privilege.
    """
    libc, root = _libc(), os.geteuid() == 0
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEWNS | (0 if root else _NEWUSER)) != 0:
        raise AdapterError(f"no mount namespace can be had: {os.strerror(ctypes.get_errno())}")
    if not root:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    if libc.mount(b"none", b"/", None, _REC | _PRIVATE, None) != 0:
        raise AdapterError(f"the mount namespace cannot be parted: {os.strerror(ctypes.get_errno())}")
    for place, ours in layers.items():
        options = f"lowerdir={ours}:{place}".encode()
        if libc.mount(b"overlay", os.fsencode(place), b"overlay", 0, options) != 0:
            raise AdapterError(f"{ours} cannot lie on top of {place}: {os.strerror(ctypes.get_errno())}")
    for place, ours in bindings.items():
        where = os.path.realpath(place)
        if libc.mount(os.fsencode(ours), os.fsencode(where), None, _BIND | _REC, None) != 0:
            raise AdapterError(f"{ours} cannot stand in for {where}: {os.strerror(ctypes.get_errno())}")


def orphans_come_here() -> None:
    """Become the parent of every descendant whose own parent ends, so that none can slip away."""
    _libc().prctl(_SUBREAPER, 1, 0, 0, 0)


def parts_with(number: int) -> None:
    """Have this process get the signal when its parent ends; for use between fork and exec."""
    _libc().prctl(_PDEATHSIG, number, 0, 0, 0)
