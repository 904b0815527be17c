"""The tracker's options, and the checks that need more than one of them."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from oslo_config import cfg

from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from swarm.options import GroupOpts

#: The swarms_url of a tracker that is alone.
MEMORY = "memory:"
_REDIS = ("redis://", "rediss://", "unix://")

TRACKER_OPTS = [
    cfg.HostAddressOpt(
        "listen_address",
        default="127.0.0.1",
        help="Address of the API, the control channel and the announces.",
    ),
    cfg.PortOpt(
        "listen_port",
        default=6969,
        help="TCP port of the same; 0 takes a free one.",
    ),
    cfg.BoolOpt(
        "open",
        default=False,
        help="Serve on an address beyond loopback although nobody is asked who they are: "
        "anybody who reaches it can publish, withdraw and fetch. Only for a trusted network.",
    ),
    cfg.StrOpt(
        "state_dir",
        default="/var/lib/glance-swarm/tracker",
        help="Directory of what outlives a restart; made if it is missing.",
    ),
    cfg.StrOpt(
        "database_url",
        default="sqlite+aiosqlite:///$state_dir/tracker.sqlite",
        secret=True,
        help="SQLAlchemy URL of the registry, with an asynchronous driver: sqlite+aiosqlite, "
        "postgresql+asyncpg or mysql+aiomysql. A dollar sign in a password is doubled.",
    ),
    cfg.StrOpt(
        "swarms_url",
        default="memory:",
        secret=True,
        help="Where it is kept who has what: `memory:` for one tracker; "
        "`redis://[[user]:password@]host:port/db` (or `rediss://` with TLS, `unix://path?db=0`) "
        "for several trackers behind one address, which then share one database_url too. Needs "
        "Redis 6.2 or Valkey, and glance-swarm[redis]. A dollar sign in a password is doubled.",
    ),
    cfg.IntOpt(
        "announce_interval",
        default=30,
        min=1,
        help="Seconds between two announces of one peer. A peer that is silent for twice as "
        "long and a little more is forgotten.",
    ),
    cfg.IntOpt(
        "min_announce_interval",
        default=5,
        min=1,
        help="Fewest seconds between two announces of one peer, even if it wants more peers.",
    ),
    cfg.IntOpt(
        "default_numwant",
        default=50,
        min=0,
        help="Peers handed to a client that does not say how many it would like.",
    ),
    cfg.IntOpt(
        "max_numwant",
        default=100,
        min=1,
        help="Most peers handed out in one answer.",
    ),
]


def list_opts() -> list[GroupOpts]:
    """Return the options of this role, for :func:`swarm.options.load` and the sample generator."""
    return [("tracker", TRACKER_OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Raise :class:`~swarm.errors.ConfigurationError` for values that don't go together."""
    tracker = conf.tracker
    if not tracker.open and not is_loopback(tracker.listen_address):
        raise ConfigurationError(
            f"[tracker] listen_address = {tracker.listen_address} is reachable from other hosts, "
            "and the tracker asks nobody who they are: listen on 127.0.0.1, or set "
            "[tracker] open = true if everybody on that network may publish and fetch",
            option="listen_address",
        )
    if not (tracker.swarms_url == MEMORY or tracker.swarms_url.startswith(_REDIS)):
        raise ConfigurationError(
            f"[tracker] swarms_url begins with none of: {MEMORY} {' '.join(_REDIS)}",
            option="swarms_url",
        )
    if tracker.min_announce_interval > tracker.announce_interval:
        raise ConfigurationError(
            "[tracker] min_announce_interval is longer than announce_interval",
            option="min_announce_interval",
        )
    if tracker.default_numwant > tracker.max_numwant:
        raise ConfigurationError(
            "[tracker] default_numwant is more than max_numwant", option="default_numwant"
        )


def is_loopback(address: str) -> bool:
    """Return whether only this host reaches ``address``; a name other than localhost may lie."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
