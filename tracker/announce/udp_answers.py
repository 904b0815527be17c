"""What is answered to one datagram of a UDP tracker (BEP 15), from whom it comes.

Whoever has not shown that it receives at its address gets nothing longer than what it sent: no use
to whom forges the address of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.errors import MalformedRequest, SwarmError
from tracker.announce import udp_codec as codec
from tracker.metrics import Counters, reason_of

if TYPE_CHECKING:
    from tracker.announce.announce import Announcer
    from tracker.announce.connection_id import ConnectionIds
    from tracker.announce.query import AnnounceQuery, AnnounceReply

#: To who shows a connection id that is over, or was never given: shorter than any such request.
_CONNECT_AGAIN = "connect again"
#: As many nodes have keys, or more.
_MOST_KEYS = 1 << 15

#: Transaction id; an announce with the key in its path, or None; and the hashes of a scrape.
Request = tuple[bytes, "tuple[AnnounceQuery, bytes] | None", "tuple[bytes, ...]"]


class AnnounceUdp:
    """Turns datagrams into answers."""

    def __init__(
        self, announcer: Announcer, ids: ConnectionIds, counters: Counters | None = None
    ) -> None:
        self._announcer = announcer
        self._ids = ids
        self.counters = counters or Counters()
        # The key in each spelling of options that has been read.
        self._keys: dict[bytes, bytes] = {}

    @property
    def is_immediate(self) -> bool:
        """Whether :meth:`answer_now` can be used."""
        return self._announcer.is_immediate

    def understand(self, data: bytes, address: bytes) -> Request | bytes | None:
        """Return what a datagram from ``address`` (4 or 16 bytes) asks for.

        If there is nothing to do for it, return the answer, or None for none.
        """
        head = codec.parse_head(data)
        if head is None:
            return None
        connection_id, action, transaction_id = head
        self._count(action, address)
        if action == codec.CONNECT or not self._ids.is_valid(connection_id, address):
            return self._introduce(head, address)
        try:
            if action == codec.ANNOUNCE:
                most = codec.MOST_PEERS[len(address)]
                announce = codec.parse_announce(data, most_wanted=most)
                self._remember(data[codec.ANNOUNCE_BYTES :], announce[1])
                return transaction_id, announce, ()
            return transaction_id, None, codec.parse_scrape(data)
        except MalformedRequest as error:
            return self._refuse(transaction_id, error)

    def renew_now(self, data: bytes, address: bytes) -> bytes | None:
        """Return the answer to what nearly all datagrams are: an announce that says nothing new.

        A short cut through :meth:`understand` and :meth:`answer_now`, on which nothing is made but
        the answer; it may be used if answers are immediate. Returns None, and has done nothing, for
        any other datagram.
        """
        if len(data) < codec.ANNOUNCE_BYTES:
            return None
        cid, action, number, info_hash, peer_id, left, event, numwant, port = codec.parse_renewal(
            data
        )
        key = self._keys.get(data[codec.ANNOUNCE_BYTES :])
        if action != codec.ANNOUNCE or event or key is None or left > codec.MOST_LEFT:
            return None
        if not self._ids.is_valid(cid, address):
            return None
        most = codec.MOST_PEERS[len(address)]
        if numwant > most:  # noqa: PLR1730 - min() is a call
            numwant = most
        try:
            found = self._announcer.renew_now(
                info_hash, address + port, peer_id, left, numwant, key
            )
        except SwarmError as error:
            return self._refuse(number, error)
        return None if found is None else codec.encode_found(number, *found)

    def answer_now(self, request: Request, address: bytes) -> bytes:
        """Return the answer to a request from ``address``."""
        transaction_id, announce, hashes = request
        try:
            if announce is not None:
                query, key = announce
                reply = self._announcer.announce_now(query, address, key)
                return self._found(transaction_id, reply)
            files = self._announcer.scrape_now(hashes, address)
            return codec.encode_scrape(transaction_id, hashes, files)
        except SwarmError as error:
            return self._refuse(transaction_id, error)

    async def answer(self, request: Request, address: bytes) -> bytes:
        """Do as :meth:`answer_now`, for a store that has to be waited for."""
        transaction_id, announce, hashes = request
        try:
            if announce is not None:
                query, key = announce
                reply = await self._announcer.announce(query, address, key)
                return self._found(transaction_id, reply)
            files = await self._announcer.scrape(hashes, address)
            return codec.encode_scrape(transaction_id, hashes, files)
        except SwarmError as error:
            return self._refuse(transaction_id, error)

    def _remember(self, options: bytes, key: bytes) -> None:
        """Spare the next announce with these options their reading."""
        if options not in self._keys:
            if len(self._keys) >= _MOST_KEYS:
                self._keys.clear()
            self._keys[options] = key

    def _introduce(self, head: codec.Head, address: bytes) -> bytes | None:
        """Answer who is not known to receive at ``address``, in no more bytes than it sent."""
        connection_id, action, transaction_id = head
        if action != codec.CONNECT:
            self.counters.udp.failures["connection_id"] += 1
            return codec.encode_error(transaction_id, _CONNECT_AGAIN)
        if connection_id != codec.PROTOCOL_ID:
            return None
        return codec.encode_connect(transaction_id, self._ids.issue(address))

    def _count(self, action: int, address: bytes) -> None:
        traffic = self.counters.udp.of(address)
        if action == codec.CONNECT:
            traffic.connects += 1
        elif action == codec.ANNOUNCE:
            traffic.announces += 1
        else:
            traffic.scrapes += 1

    def _refuse(self, transaction_id: bytes, error: SwarmError) -> bytes:
        self.counters.udp.failures[reason_of(error)] += 1
        return codec.encode_error(transaction_id, error.detail)

    def _found(self, transaction_id: bytes, reply: AnnounceReply) -> bytes:
        self.counters.handed_out(reply.peers, reply.external_ip)
        return codec.encode_announce(transaction_id, reply)
