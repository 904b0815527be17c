"""The contestants by name: what ``--contestants`` chooses from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.contestants.chain import chain
from benchmarks.contestants.downloads import downloads
from benchmarks.contestants.roles import roles

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.contestants.contract import Contestant

CONTESTANTS: Mapping[str, Contestant] = {
    "roles": roles,
    "chain": chain,
    "http": downloads,
}
