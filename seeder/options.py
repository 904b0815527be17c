"""The options of the seeder: ``[seeder]``, and ``[glance]`` as nova.conf has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oslo_config import cfg, types

from swarm import options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from swarm.options import GroupOpts

SEEDER_OPTS = [
    cfg.StrOpt(
        "source",
        default="directory",
        choices=[
            ("directory", "each file below [seeder] directory is an image"),
            ("glance", "the active images of the Glance that [glance] names"),
        ],
        help="Where the images come from.",
    ),
    cfg.StrOpt(
        "directory",
        default="/var/lib/glance-swarm/images",
        help="The directory of images of source = directory. It is only read. A file "
        "`<name>.sha512`, as sha512sum writes it, gives the hash that `<name>` must have.",
    ),
    cfg.StrOpt(
        "state_dir",
        default="/var/lib/glance-swarm/seeder",
        help="The seeder's own directory. Copies of images that can't be read in place, raw "
        "forms and torrents are kept in `staging` below it: give it the space of both.",
    ),
    cfg.HostAddressOpt(
        "listen_address",
        default="127.0.0.1",
        help="Address of the seeder's own API (what it seeds, health). Peers meet it at [engine] "
        "listen_address.",
    ),
    cfg.PortOpt(
        "listen_port",
        default=6971,
        help="TCP port of the seeder's own API; 0 takes a free one.",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=10.0,
        min=0.1,
        help="Seconds between two listings of the source.",
    ),
    cfg.StrOpt(
        "convert",
        default="eager",
        choices=[
            ("eager", "convert each image once it is listed"),
            ("on_demand", "convert an image when an agent asks for it"),
        ],
        help="When images are converted to torrents. What agents ask for goes first either way.",
    ),
    cfg.ListOpt(
        "variants",
        default=["original"],
        item_type=types.String(choices=["original", "raw"]),
        help="The forms that convert = eager makes: original, raw. raw is made of images in a "
        "disk format that has a raw form (qcow2, vmdk, vhd, vhdx, vdi). An agent can ask for "
        "either, whatever is said here.",
    ),
    cfg.StrOpt(
        "torrent_version",
        default="v2",
        choices=[
            ("v2", "for our own agents and clients that know BEP 52"),
            ("v1", "for any BitTorrent client; SHA-1, and a good peer can be banned for a bad one"),
            ("hybrid", "for both (not all of v1 can read it), at a quarter more CPU while hashing"),
        ],
        help="Version of the torrents that are published. Every seeder of an image needs the "
        "same. After a change each image is hashed anew, and its torrent of the old version is "
        "withdrawn: transfers of it that are under way fail.",
    ),
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        max=64,
        help="Images that are converted at one time. Each takes one to two cores and a disk.",
    ),
    cfg.IntOpt(
        "raw_size_limit",
        default=1024,
        min=1,
        help="Largest virtual size, in GiB, of an image that is converted to raw. A small file "
        "can claim to be an enormous disk, and each byte of it is hashed.",
    ),
    cfg.FloatOpt(
        "raw_timeout",
        default=3600.0,
        min=1.0,
        help="Most seconds that one qemu-img run may take to make the raw form of an image.",
    ),
]


#: Options that the command line has too: its name -> group and name here.
COMMAND_LINE = {
    "source": ("seeder", "source"),
    "directory": ("seeder", "directory"),
    "state_dir": ("seeder", "state_dir"),
    "listen_address": ("seeder", "listen_address"),
    "listen_port": ("seeder", "listen_port"),
    "node": ("swarm", "node"),
    "tracker_url": ("swarm", "tracker_url"),
    "engine_address": ("engine", "listen_address"),
    "engine_port": ("engine", "listen_port"),
}


def load(config_files: Sequence[str], given: Mapping[str, Any]) -> cfg.ConfigOpts:
    """Read the configuration of a seeder; ``given`` are the command line's, None where unset.

    Raises :class:`~swarm.errors.ConfigurationError`.
    """
    overrides = [(*COMMAND_LINE[name], value) for name, value in given.items() if value is not None]
    # keystoneauth registers [glance] itself, once it is known that there is a Glance.
    groups = [*options.list_engine_opts(), ("seeder", SEEDER_OPTS)]
    return options.load(groups, config_files=config_files, overrides=overrides)


def list_opts() -> list[GroupOpts]:
    """Return all options of the seeder, keystoneauth's too, for the sample generator."""
    from swarm import glance  # noqa: PLC0415 - keystoneauth1 is loaded by who needs it

    return [("seeder", SEEDER_OPTS), ("glance", glance.list_opts())]
