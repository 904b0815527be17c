"""Who has what: the contract that each store of swarms keeps.

``memory.py`` is the embedded default, for one tracker; ``redis.py`` is shared by several replicas.
One conformance suite holds both to what is written here (``tests/unit/tracker/swarms``). Not here:
who may announce, and whom of the candidates to hand out.

Duties beyond the signatures:

- *Admission.* A swarm is open from the moment its torrent is published until it is withdrawn. That
  is known to each process without asking anybody, and the registry is the truth of it: a store is
  told at its start, and whenever it may have missed something (:meth:`Swarms.restore`).
- *Expiry.* A peer lives equally long after each announce. Once its time is over it is neither
  counted nor drawn, whether or not anything has swept meanwhile. Nothing needs to survive a
  restart: every peer announces again within an interval.
- *Families.* IPv4 and IPv6 are apart. A node with both announces on both, and is counted and drawn
  once in each. The length of an address (4 or 16 bytes) says which is meant.
- *Identity.* One endpoint is one peer: what was known of it is replaced. A farewell removes it only
  if it comes from the peer id that is known there: a restarted client may announce before the
  farewell of its former run arrives.
- *Groups.* A peer may belong to a group, its rack. Then those of its group are near to it and all
  others are far, and some of each are drawn. A peer of no group has nobody near.
- *Atomicity.* An announce is one step: no other is seen half done, and the counts that it returns
  are of the moment after it.
- *Cost.* An announce costs what it draws, not what the swarm holds, and a shared store is asked
  once for it: one round trip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from tracker.handout.policy import Kinds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tracker.swarms.peer import Peer


class Counts(NamedTuple):
    """The size of one swarm, in peers of one address family."""

    complete: int
    incomplete: int
    #: How many said that they completed it, since it was published or the store was last empty.
    downloaded: int


class Drawn(NamedTuple):
    """A random sample of each kind of peer: compact endpoints, one after the other.

    Their order is random enough that the first so many of a sample are a sample themselves.
    """

    near_complete: bytes = b""
    near_incomplete: bytes = b""
    far_complete: bytes = b""
    far_incomplete: bytes = b""


class Answer(NamedTuple):
    """What one announce is answered from."""

    counts: Counts
    #: How many there are to choose from, beside the asker.
    others: Kinds
    drawn: Drawn


class Members(NamedTuple):
    """All peers of one torrent, of both address families."""

    peers: list[Peer]
    #: As :attr:`Counts.downloaded`, summed.
    downloaded: int


class Totals(NamedTuple):
    """The size of the whole store, in torrents and in peers of both families."""

    torrents: int
    complete: int
    incomplete: int


NOBODY = Counts(0, 0, 0)
#: The answer that tells nothing: of a swarm that is not open.
NONE = Kinds()
NOTHING = Drawn()
SILENCE = Answer(NOBODY, NONE, NOTHING)


class Swarms(Protocol):
    """The swarms of all published torrents, by announce hash (20 bytes).

    Every coroutine here raises :class:`~swarm.errors.Unavailable` within a few seconds if the store
    can't be reached; nothing is known then of whether the step was taken.
    """

    def open(self, announce_hash: bytes) -> None:
        """Admit announces for a torrent: here at once, at other replicas as soon as they hear it.

        One that is open stays as it is.
        """

    async def forget(self, announce_hash: bytes) -> None:
        """Close a swarm, here and at other replicas, and forget its peers and its counter.

        One that is not open is closed all the same. If the store can't be reached the swarm is
        closed nevertheless; what it holds is never looked at again and ends by itself.
        """

    def restore(self, announce_hashes: Iterable[bytes]) -> None:
        """Have exactly these open, here; swarms that were open and still are keep their peers."""

    def is_open(self, announce_hash: bytes) -> bool:
        """Return whether announces are admitted, as far as this process knows."""

    async def announce(
        self,
        announce_hash: bytes,
        peer: Peer,
        *,
        has_completed: bool = False,
        has_stopped: bool = False,
        is_reported: bool = False,
        want: int = 0,
    ) -> Answer:
        """Take down what ``peer`` said just now, and draw others for it.

        ``is_reported``: its node says so on its control channel, and will :meth:`renew` it.

        ``has_completed`` is the event of that name: it counts if the peer lacks nothing and was not
        known as complete, so that a repetition counts once. ``has_stopped`` is its farewell; it
        removes the peer, and draws nobody.

        Drawn are up to ``want`` peers of each kind, of its family and never its own endpoint; for a
        complete peer only those that lack something, since two complete ones have nothing to say to
        each other, and the others are not counted either. Of one kind each peer has the same
        chance, but that far ones are spread over the groups: first a group is drawn, then a peer of
        it. There are fewer only if the swarm has no more. If none is wanted, nobody is counted.

        For a swarm that is not open here nothing is taken down, and the answer is SILENCE.
        """

    async def report(self, peer: Peer, holdings: Sequence[tuple[bytes, int]]) -> None:
        """Take down what one node has of many torrents, as that many announces that want nobody.

        ``holdings`` are announce hashes, each with the bytes that the node lacks (its ``left``;
        that of ``peer`` is not looked at). Those that are not open are passed over.
        """

    async def renew(self, peer: Peer, holdings: Sequence[tuple[bytes, int]]) -> None:
        """Take down that a node is still there, and has all that it reported so far: ``holdings``.

        They live from now on as long as after an announce. This is what a node says most often, so
        it may cost less than to report them.
        """

    async def leave(self, endpoint: bytes, announce_hashes: Sequence[bytes]) -> None:
        """Forget an endpoint in these swarms, whatever its peer id: its node says so itself."""

    async def scrape(self, announce_hashes: Iterable[bytes], address: bytes) -> dict[bytes, Counts]:
        """Return the counts of each open swarm among these, in the family of ``address``."""

    async def members(self, announce_hash: bytes) -> Members:
        """Return all peers of a torrent; for who looks from outside, since it costs their number.

        A swarm that is not open has none.
        """

    async def totals(self) -> Totals:
        """Return the size of the store; it costs the number of open swarms."""

    async def check(self) -> None:
        """Return if the store answers; else raise as every coroutine here."""
