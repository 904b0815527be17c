"""The contestants by name: what ``--contestants`` chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contestants.aria2 import aria2
from benchmarks.contestants.chain import chain
from benchmarks.contestants.downloads import downloads
from benchmarks.contestants.qbittorrent import qbittorrent
from benchmarks.contestants.roles import roles
from benchmarks.contestants.stock_libtorrent import stock_libtorrent
from benchmarks.contestants.transmission import transmission

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.contestants.contract import Contestant

CONTESTANTS: Mapping[str, Contestant] = {
    "roles": roles,
    "chain": chain,
    "http": downloads,
    "aria2": aria2,
    "transmission": transmission,
    "qbittorrent": qbittorrent,
    "libtorrent": stock_libtorrent,
}
