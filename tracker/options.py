"""The tracker's options, and the checks that need more than one of them."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from oslo_config import cfg, types

from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from swarm.options import GroupOpts

#: The swarms_url of a tracker that is alone.
MEMORY = "memory:"
_LEAST_SECRET = 16
_REDIS = ("redis://", "rediss://", "unix://")

TRACKER_OPTS = [
    cfg.ListOpt(
        "listen_address",
        item_type=types.HostAddress(),
        default=["127.0.0.1"],
        help="Addresses of the API, the control channel and the announces, of either family: "
        "`10.0.0.1, fd00::1`. `0.0.0.0` is every IPv4 one, `::` every IPv6 one.",
    ),
    cfg.PortOpt(
        "listen_port",
        default=6969,
        help="TCP and UDP port of the same; 0 takes a free one.",
    ),
    cfg.BoolOpt(
        "udp",
        default=True,
        help="Answer announces over UDP as well (BEP 15).",
    ),
    cfg.StrOpt(
        "udp_secret",
        default="",
        secret=True,
        help="What the connection ids of UDP are signed with; empty: made at each start. Trackers "
        "behind one address need the same, of 16 characters or more.",
    ),
    cfg.ListOpt(
        "trusted_proxies",
        item_type=types.String(),
        default=[],
        help="Networks (CIDR) of HTTP proxies whose word is taken for where an announce comes "
        "from: the last entry of X-Forwarded-For, or else `ip=`. From elsewhere both are ignored.",
    ),
    cfg.IntOpt(
        "max_connections",
        default=20000,
        min=10,
        help="Most TCP connections at one time, control channels included; beyond them the one "
        "that has announced nothing for longest is closed. As many open files have to be allowed.",
    ),
    cfg.BoolOpt(
        "open",
        default=False,
        help="Let in who shows no key: anybody who reaches the tracker can publish, withdraw and "
        "fetch. Only for a trusted network. On loopback that is so until a node is registered.",
    ),
    cfg.StrOpt(
        "operator_token",
        default="",
        secret=True,
        help="What operators show, as nodes show their keys; replicas need the same. Empty: made "
        "at the first start and kept in $state_dir/operator.token. A dollar sign is doubled.",
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
        min=0,
        help="Most peers handed out in one answer. With 0 here and as default_numwant nobody is "
        "introduced to anybody, and nothing spreads: the negative control of a measurement.",
    ),
    cfg.StrOpt(
        "handout",
        default="rack_aware",
        choices=[
            ("rack_aware", "those of a node's own rack first, and always some of other racks"),
            ("uniform", "anybody, as likely as anybody else"),
            ("completeness", "complete ones first: for swarms in which most are"),
        ],
        help="Whom a node is introduced to. Where no racks are known rack_aware does as uniform.",
    ),
]


def list_opts() -> list[GroupOpts]:
    """Return the options of this role, for :func:`swarm.options.load` and the sample generator."""
    return [("tracker", TRACKER_OPTS)]


def check(conf: cfg.ConfigOpts) -> None:
    """Raise :class:`~swarm.errors.ConfigurationError` for values that don't go together."""
    tracker = conf.tracker
    if not (tracker.swarms_url == MEMORY or tracker.swarms_url.startswith(_REDIS)):
        raise ConfigurationError(
            f"[tracker] swarms_url begins with none of: {MEMORY} {' '.join(_REDIS)}",
            option="swarms_url",
        )
    if not tracker.listen_address:
        raise ConfigurationError(
            "[tracker] listen_address: name at least one", option="listen_address"
        )
    if 0 < len(tracker.udp_secret) < _LEAST_SECRET:
        raise ConfigurationError(
            f"[tracker] udp_secret is shorter than {_LEAST_SECRET} characters: it could be guessed",
            option="udp_secret",
        )
    for network in tracker.trusted_proxies:
        _check_network(network)
    if tracker.min_announce_interval > tracker.announce_interval:
        raise ConfigurationError(
            "[tracker] min_announce_interval is longer than announce_interval",
            option="min_announce_interval",
        )
    if tracker.default_numwant > tracker.max_numwant:
        raise ConfigurationError(
            "[tracker] default_numwant is more than max_numwant", option="default_numwant"
        )


def _check_network(network: str) -> None:
    try:
        ipaddress.ip_network(network)
    except ValueError as error:
        raise ConfigurationError(
            f"[tracker] trusted_proxies: {error}", option="trusted_proxies"
        ) from error


def is_local(conf: cfg.ConfigOpts) -> bool:
    """Return whether only this host reaches the tracker."""
    return all(is_loopback(address) for address in conf.tracker.listen_address)


def is_loopback(address: str) -> bool:
    """Return whether only this host reaches ``address``; a name other than localhost may lie."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
