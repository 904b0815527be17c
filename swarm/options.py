"""Configuration by oslo.config: files, environment and the options that roles share.

Precedence, as everywhere in OpenStack: command line, environment (``OS_<GROUP>__<OPTION>``),
``--config-file`` (later files win), default. A key that no option has is refused at start: a
misspelt limit would otherwise be silently absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from swarm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

#: (group name, options of that group)
GroupOpts = tuple[str, "Sequence[cfg.Opt]"]

SWARM_OPTS = [
    cfg.StrOpt(
        "tracker_url",
        default="http://127.0.0.1:6969",
        help="Base URL of the tracker's API and announces, as this node reaches it.",
    ),
    cfg.StrOpt(
        "node",
        default="",
        help="Name of this node in logs and at the tracker; empty: the host name.",
    ),
    cfg.StrOpt(
        "node_key",
        default="",
        secret=True,
        help="Key of this node at the tracker, as `swarm node add` printed it. Not needed where "
        "the tracker is open. Better in a file of its own:",
    ),
    cfg.StrOpt(
        "node_key_file",
        default="",
        help="File that holds the key and nothing else, instead of node_key; for its owner only.",
    ),
    cfg.StrOpt(
        "log_level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="Least severe log record that is written (to standard error).",
    ),
]

ENGINE_OPTS = [
    cfg.HostAddressOpt(
        "listen_address",
        default="127.0.0.1",
        help="Address that peers connect to, and that connections to peers leave from. "
        "Use the address of the storage or transfer network.",
    ),
    cfg.PortOpt(
        "listen_port",
        default=6881,
        help="TCP port that peers connect to; 0 takes a free one.",
    ),
    cfg.IntOpt(
        "upload_limit",
        default=0,
        min=0,
        help="Most bytes per second sent to peers, LAN peers included; 0: no limit.",
    ),
    cfg.IntOpt(
        "download_limit",
        default=0,
        min=0,
        help="Most bytes per second received from peers, LAN peers included; 0: no limit.",
    ),
    cfg.IntOpt(
        "connections_limit",
        default=500,
        min=2,
        help="Most peer connections at one time.",
    ),
    cfg.IntOpt(
        "request_queue",
        default=0,
        min=0,
        max=2000,
        help="Most requests of 16 KiB that a peer may have waiting at this node; 0: by the link's "
        "rate. A short queue keeps the seeder from sending pieces twice, too short a one leaves a "
        "fast link idle. transmission asks once a second, as much as it may: give a seeder that "
        "serves such clients 500.",
    ),
    cfg.IntOpt(
        "link_rate",
        default=0,
        min=0,
        help="Mbit/s that the link of listen_address carries; 0: what its network card says. Give "
        "it where the card does not know, as in many virtual machines, or the link is limited "
        "elsewhere.",
    ),
    cfg.IntOpt(
        "disk_queue_bytes",
        default=8 << 20,
        min=1 << 20,
        help="Most received bytes that wait in memory for the disk. Memory grows by about "
        "this much while a transfer runs.",
    ),
]


def list_engine_opts() -> list[GroupOpts]:
    """Return what seeder and agent share, for the sample generator."""
    return [("swarm", SWARM_OPTS), ("engine", ENGINE_OPTS)]


def load(
    groups: Iterable[GroupOpts],
    *,
    config_files: Sequence[str] = (),
    overrides: Iterable[tuple[str, str, Any]] = (),
    dynamic_groups: Iterable[str] = (),
) -> cfg.ConfigOpts:
    """Read the configuration of one role.

    ``overrides`` are (group, option, value) from the command line. ``dynamic_groups`` name groups
    whose options are registered later by a library (keystoneauth's), and so can't be checked here.

    Raises :class:`~swarm.errors.ConfigurationError` for a missing or malformed file, an option
    with an unusable value, or a key that does not exist.
    """
    conf = cfg.ConfigOpts()
    wanted = [("swarm", SWARM_OPTS), *((g, o) for g, o in groups if g != "swarm")]
    for group, opts in wanted:
        conf.register_opts(opts, group=group)
    try:
        conf([], project="glance-swarm", default_config_files=list(config_files))
        for group, name, value in overrides:
            conf.set_override(name, value, group=group)
        _read_every_value(conf, wanted)
    except (cfg.Error, ValueError) as error:
        raise ConfigurationError(f"configuration: {error}") from error
    for path in config_files:
        _refuse_unknown_keys(path, wanted, frozenset(dynamic_groups))
    return conf


def _read_every_value(conf: cfg.ConfigOpts, groups: Iterable[GroupOpts]) -> None:
    """Make a bad value an error now, not at its first use."""
    for group, opts in groups:
        for opt in opts:
            getattr(conf[group], opt.dest)


def _refuse_unknown_keys(
    path: str | Path, groups: Iterable[GroupOpts], dynamic_groups: frozenset[str]
) -> None:
    sections: dict[str, dict[str, list[str]]] = {}
    cfg.ConfigParser(str(path), sections).parse()
    known = {group: _names(opts) for group, opts in groups}
    # One file may serve all roles of a host: a section of another role is not ours to judge.
    for group in known.keys() & sections.keys() - dynamic_groups:
        unknown = sorted(sections[group].keys() - known[group])
        if unknown:
            raise ConfigurationError(
                f"{path}: [{group}] has no option {unknown[0]!r}; it has: "
                + ", ".join(sorted(known[group])),
                path=str(path),
                option=unknown[0],
            )


def _names(opts: Iterable[cfg.Opt]) -> set[str]:
    return {name for opt in opts for name in (opt.name, opt.dest)}
