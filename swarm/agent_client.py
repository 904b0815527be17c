"""The peer agent's API, from the other side: for `swarm fetch`, the demo and the benchmarks."""

from __future__ import annotations

from swarm import errors
from swarm.http_client import HttpClient
from swarm.messages import TransferDocument, TransferList, TransferRequest


class AgentClient(HttpClient):
    """What an agent does for its host.

    ::

        async with AgentClient("http://127.0.0.1:6970") as agent:
            transfer = await agent.create_transfer(request)
            done = await agent.show_transfer(transfer.id, wait_seconds=60)

    Each method raises the error that the agent's problem document names, or
    :class:`~swarm.errors.AgentUnreachable`.
    """

    unreachable = errors.AgentUnreachable

    async def create_transfer(
        self, request: TransferRequest, *, wait_seconds: float = 0.0
    ) -> TransferDocument:
        """Ask for a transfer; returns at once, or when it has ended or ``wait_seconds`` passed."""
        return await self.call_for(
            TransferDocument,
            "POST",
            "/v1/transfers",
            body=request,
            query={"wait": f"{wait_seconds:g}"},
            wait_seconds=wait_seconds,
        )

    async def list_transfers(self) -> list[TransferDocument]:
        """Return the agent's transfers, newest first."""
        return (await self.call_for(TransferList, "GET", "/v1/transfers")).transfers

    async def show_transfer(
        self, transfer_id: str, *, wait_seconds: float = 0.0
    ) -> TransferDocument:
        """Return one transfer, waiting up to ``wait_seconds`` for its end."""
        return await self.call_for(
            TransferDocument,
            "GET",
            f"/v1/transfers/{transfer_id}",
            query={"wait": f"{wait_seconds:g}"},
            wait_seconds=wait_seconds,
        )

    async def cancel_transfer(self, transfer_id: str) -> None:
        """Cancel a running transfer, or forget one that has ended and stop seeding its file."""
        await self.call("DELETE", f"/v1/transfers/{transfer_id}")
