"""The seeder's small API, from the other side: for the demo and the benchmarks."""

from __future__ import annotations

from swarm import errors
from swarm.http_client import HttpClient
from swarm.messages import SeedDocument, SeedList


class SeederClient(HttpClient):
    """What a seeder says of itself. Raises :class:`~swarm.errors.SeederUnreachable`."""

    unreachable = errors.SeederUnreachable

    async def list_seeds(self) -> list[SeedDocument]:
        """Return the torrents that it seeds."""
        return (await self.call_for(SeedList, "GET", "/v1/seeds")).seeds
