"""Every libtorrent setting that differs from its default, with the reason beside it.

"lab" in a reason: 8 hosts as network namespaces, each link shaped to 50 Mbit/s, one 128 MiB image,
figures are the time of the last host over the time of one plain TCP copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import libtorrent as lt

from swarm import __version__
from swarm.link_rate import MEGABIT, link_rate

_CATEGORIES = lt.alert.category_t
_ALERT_MASK = (
    _CATEGORIES.error_notification
    | _CATEGORIES.status_notification
    | _CATEGORIES.storage_notification
    | _CATEGORIES.tracker_notification
)

#: libtorrent's class of all peers, to which the session's rate limits belong.
GLOBAL_PEER_CLASS = 0


_BLOCK_BYTES = 16 << 10
_IN_FLIGHT_SECONDS = 0.040
_FEW_PEERS = 4
#: Below two a sender waits for the next request after each block.
_LEAST_REQUESTS, _MOST_REQUESTS = 2, 250
#: Of a link that nobody knows the rate of, as in many virtual machines.
_USUAL_RATE = 1000 * MEGABIT


@dataclass(frozen=True)
class EngineSettings:
    """What an operator decides about the engine: the ``[engine]`` options."""

    listen_address: str = "127.0.0.1"
    listen_port: int = 6881
    #: Bytes per second; 0 is no limit.
    upload_limit: int = 0
    download_limit: int = 0
    connections_limit: int = 500
    #: Requests of 16 KiB; 0: by the link's rate.
    request_queue: int = 0
    #: Mbit/s; 0: what the network card says.
    link_rate: int = 0
    disk_queue_bytes: int = 8 << 20

    @classmethod
    def of(cls, group: Any) -> EngineSettings:  # noqa: ANN401 - oslo.config ships no types
        """Return the settings in oslo.config's ``[engine]`` group."""
        return cls(**{name: getattr(group, name) for name in cls.__dataclass_fields__})

    @property
    def rate(self) -> int | None:
        """Bits per second of the link, if anybody knows."""
        return self.link_rate * MEGABIT or link_rate(self.listen_address)

    @property
    def interface(self) -> str:
        """The listen interface in libtorrent's notation."""
        host = f"[{self.listen_address}]" if ":" in self.listen_address else self.listen_address
        return f"{host}:{self.listen_port}"


def request_queue(rate: int | None) -> int:
    """Return how many requests of 16 KiB a peer may have waiting at a node.

    ``rate`` is that of the node's link in bits per second; None if nobody knows.

    It is what the link carries in 40 ms, the time of a full queue in a switch and back, shared by
    four. One pair over an unshaped veth: 131 MB/s with 2, 295 with 16, 320 to 500 with 64 and more.
    For more peers see :func:`queue_seconds`.
    """
    waiting = (rate or _USUAL_RATE) / 8 * _IN_FLIGHT_SECONDS / _FEW_PEERS
    return max(_LEAST_REQUESTS, min(_MOST_REQUESTS, round(waiting / _BLOCK_BYTES)))


def queue_seconds(peers: int) -> int:
    """Return libtorrent's ``request_queue_time`` for a node with so many peers.

    What waits at others can no longer be re-decided: with short queues a host asks the seeder only
    for what nobody else has by then, and all that is on its way to one host fits the queue of its
    switch port. With 0 a connection has two requests waiting, libtorrent's least; with more than a
    few connections that fills any link. With 1 it has what came in the last second, up to
    :func:`request_queue`. Lab, 8 hosts with 25 Mbit/s, image of 32 MiB, the engine alone, the last
    host: 1.13 with 16 requests, 1.07 with 4, 1.03 with 2.
    """
    return 0 if peers > _FEW_PEERS else 1


def settings_pack(settings: EngineSettings) -> lt.settings_pack:
    """Return libtorrent's settings for a node of a private swarm in a data centre."""
    waiting = settings.request_queue or request_queue(settings.rate)
    return {
        "user_agent": f"glance-swarm/{__version__}",
        "peer_fingerprint": "-GS0100-",
        "alert_mask": int(_ALERT_MASK),
        "alert_queue_size": 20_000,
        # Where we are. Connections leave from the listen address too, so that trackers and peers
        # see one address for one node.
        "listen_interfaces": settings.interface,
        "outgoing_interfaces": settings.listen_address,
        # The port that was configured, or an error; never another one.
        "listen_system_port_fallback": False,
        "max_retry_port_bind": 0,
        # 5 by default: the SYNs of a flash crowd are dropped and retried late. Lab, 16 hosts:
        # 1.42 and 1.54 instead of 1.10 to 1.13.
        "listen_queue_size": 3000,
        # A private swarm has a tracker; it finds nobody any other way.
        "enable_dht": False,
        "enable_lsd": False,
        "enable_upnp": False,
        "enable_natpmp": False,
        "enable_ip_notifier": False,
        # uTP yields to all other traffic and costs four times the CPU: 11 against 238 MB/s on
        # loopback.
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        # MSE is obfuscation without authentication, and RC4 costs a third of the rate.
        "out_enc_policy": int(lt.enc_policy.pe_disabled),
        "in_enc_policy": int(lt.enc_policy.pe_disabled),
        # 300 s by default, whatever the tracker says: early joiners would stay alone for as long.
        "min_announce_interval": 5,
        "stop_tracker_timeout": 1,
        # A refused peer is tried again soon: in a data centre it is restarting, not gone.
        "min_reconnect_time": 1,
        "max_failcount": 20,
        "peer_connect_timeout": 5,
        "handshake_timeout": 5,
        # 500 ms by default: on loopback the first byte came after 0.52 s, with this after 0.12 s.
        "tick_interval": 100,
        "connection_speed": 200,
        "torrent_connect_boost": 100,
        "peer_timeout": 45,
        "connections_limit": settings.connections_limit,
        # Everybody wants the swarm to be fast, so nobody is choked.
        "unchoke_slots_limit": -1,
        "allowed_fast_set_size": 0,
        # By default a host claims up to 8 MiB in a row from one peer, each host the same stretch
        # from the seeder, which sends it many times over. Lab: 1.64 -> 1.21.
        "whole_pieces_threshold": 0,
        # Random first pieces from the start are what everybody has; rarest first at once. Lab:
        # 1.07 -> 1.05.
        "initial_picker_threshold": 0,
        "request_queue_time": queue_seconds(0),
        # libtorrent takes what the other side allows for its own limit, so both are one number.
        "max_out_request_queue": waiting,
        "max_allowed_in_request_queue": waiting,
        "send_buffer_low_watermark": 64 << 10,
        "send_buffer_watermark": 1 << 20,
        "send_buffer_watermark_factor": 100,
        # Back-pressure on the network while the disk is behind: bounds the agent's memory.
        "max_queued_disk_bytes": settings.disk_queue_bytes,
        "aio_threads": 4,
        "hashing_threads": 1,
        "upload_rate_limit": settings.upload_limit,
        "download_rate_limit": settings.download_limit,
    }


def session_params(settings: EngineSettings) -> lt.session_params:
    """Return the parameters of a session; the pread back end, whose memory is bounded."""
    params = lt.session_params(settings_pack(settings))
    params.disk_io_constructor = "pread_disk_io_constructor"
    return params


def limit_lan_peers(session: lt.session) -> None:
    """Put every peer into the class that the session's limits apply to.

    By default peers on private and loopback addresses are exempt from rate limits: every peer of a
    data centre.
    """
    everyone = lt.ip_filter()
    for first, last in (("0.0.0.0", "255.255.255.255"), ("::", "ffff:" * 7 + "ffff")):
        everyone.add_rule(first, last, 1 << GLOBAL_PEER_CLASS)
    session.set_peer_class_filter(everyone)
    session.set_peer_class_type_filter(lt.peer_class_type_filter())
