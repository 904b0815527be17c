"""The only door to libtorrent: a session, its torrents, and its alerts as asyncio events."""

from swarm.engine.profiles import EngineSettings
from swarm.engine.session import Engine
from swarm.engine.torrent import Progress, Torrent

__all__ = ["Engine", "EngineSettings", "Progress", "Torrent"]
