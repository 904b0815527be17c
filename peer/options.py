"""The ``[peer]`` options, and what the agent refuses to start with."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from swarm.options import GroupOpts

PEER_OPTS = [
    cfg.HostAddressOpt(
        "listen_address",
        default="127.0.0.1",
        help="Address of the API. The API has no authentication, so it must be a loopback one.",
    ),
    cfg.PortOpt("listen_port", default=6970, help="TCP port of the API; 0 takes a free one."),
    cfg.StrOpt(
        "unix_socket",
        default="",
        help="Path of a unix socket that the API is served on too; empty: none.",
    ),
    cfg.StrOpt(
        "state_dir",
        default="/var/lib/glance-swarm/peer",
        help="Directory of the agent's own state; it is created if it is missing.",
    ),
    cfg.MultiStrOpt(
        "roots",
        default=[],
        help="Directory below which transfers may place files, such as "
        "/var/lib/nova/instances/_base; give it once for each. Without one the agent does not "
        "start.",
    ),
    cfg.IntOpt("max_active", default=4, min=1, help="Most transfers that run at one time."),
    cfg.IntOpt(
        "max_queued",
        default=1000,
        min=1,
        help="Most transfers that wait; further ones are refused with queue_full.",
    ),
    cfg.FloatOpt(
        "resume_interval",
        default=5.0,
        min=0.1,
        help="Seconds between two savings of resume data. An agent that is killed fetches again "
        "what came since the last one.",
    ),
    cfg.FloatOpt(
        "prepare_timeout",
        default=3600.0,
        min=0.0,
        help="Seconds that a transfer waits for its image to be published.",
    ),
    cfg.FloatOpt(
        "stall_timeout",
        default=3600.0,
        min=1.0,
        help="Seconds without a byte after which a transfer fails.",
    ),
    cfg.StrOpt(
        "file_mode",
        default="0644",
        help="Mode of a placed file, in octal; Nova and QEMU must be able to read it.",
    ),
]

_MOST_MODE = 0o777


def list_opts() -> list[GroupOpts]:
    """Return the agent's own options, for the sample generator."""
    return [("peer", PEER_OPTS)]


def check(group: Any) -> None:  # noqa: ANN401 - oslo.config ships no types
    """Raise :class:`~swarm.errors.ConfigurationError` for values that can't be served with."""
    _check_address(group.listen_address)
    file_mode(group.file_mode)
    if not group.roots:
        raise ConfigurationError(
            "no root is configured: set [peer] roots (or --root) to each directory below which "
            "the agent may place files, such as /var/lib/nova/instances/_base"
        )
    for root in group.roots:
        _check_root(root)


def file_mode(text: str) -> int:
    """Return the mode that ``text`` means, such as 0644."""
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if not 0 < mode <= _MOST_MODE:
        raise ConfigurationError(f"[peer] file_mode: {text!r} is not an octal mode such as 0644")
    return mode


def _check_address(address: str) -> None:
    try:
        is_loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        is_loopback = address == "localhost"
    if not is_loopback:
        raise ConfigurationError(
            f"[peer] listen_address: {address} is not a loopback address, and the agent's API "
            "has no authentication: anybody who reaches it could write below the roots"
        )


def _check_root(root: str) -> None:
    if not root.startswith("/") or ".." in Path(root).parts:
        raise ConfigurationError(f"[peer] roots: {root!r} is not an absolute path")
    if not Path(root).is_dir():
        raise ConfigurationError(f"[peer] roots: there is no directory {root}")
