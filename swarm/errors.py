"""Every error that this project raises on purpose.

::

    SwarmError
    ├── BadInput                      the caller can mend it
    │   ├── MalformedRequest
    │   ├── ConfigurationError
    │   ├── BencodeError
    │   ├── MetainfoError
    │   └── DestinationRefused
    │       ├── DestinationOutsideRoots
    │       ├── DestinationExists
    │       └── DestinationBusy
    ├── Unauthenticated               nobody knows who asks
    ├── Forbidden                     who asks may not
    ├── NotFound
    │   ├── ImageUnknown
    │   ├── NodeUnknown
    │   └── TransferUnknown
    ├── ImageRefused                  final: the image itself is at fault
    │   ├── ImageCorrupt
    │   ├── ImageUnsafe
    │   └── ImageFailed
    ├── Conflict
    │   ├── TorrentConflict
    │   └── IllegalTransition
    ├── Unavailable                   try again later
    │   ├── ImageNotReady
    │   ├── NoSeeder
    │   ├── QueueFull
    │   ├── TrackerUnreachable
    │   ├── AgentUnreachable
    │   ├── SeederUnreachable
    │   └── SourceUnreachable
    ├── NoSpace
    ├── StorageFailed
    └── RoleFailed

A caller who can only report writes ``except SwarmError``; one who retries, ``except Unavailable``.
``swarm/web/problems.py`` holds the one table that turns these classes into HTTP statuses and codes.
"""

from __future__ import annotations

from typing import ClassVar


class SwarmError(Exception):
    """Base of the tree.

    ``detail`` is one sentence for a person, with the remedy when there is one; ``data`` holds the
    parts it was made of, so that no caller parses text.
    """

    def __init__(self, detail: str, **data: str | int) -> None:
        super().__init__(detail)
        self.detail = detail
        self.data = data

    #: What the caller can do about it, in one sentence.
    remedy: ClassVar[str] = "See the service's log under the same request id."


class BadInput(SwarmError):
    """The request, file or option is at fault; sending it again changes nothing."""

    remedy = "Correct the request and send it again."


class MalformedRequest(BadInput):
    """A request that does not fit its schema."""


class ConfigurationError(BadInput):
    """An option has a value that the service cannot start with."""

    remedy = (
        "Correct the configuration file and start again; `swarm config sample` prints each option."
    )


class BencodeError(BadInput):
    """Bytes that are not canonical bencode (BEP 3)."""


class MetainfoError(BadInput):
    """A torrent that is not what this project makes: private, one file."""


class DestinationRefused(BadInput):
    """A destination that the agent does not write to."""

    remedy = "Name a file that does not exist yet, below one of the agent's configured roots."


class DestinationOutsideRoots(DestinationRefused):
    """The destination is not below a root, or reaches out of it through a symbolic link."""


class DestinationExists(DestinationRefused):
    """There is a file of that name; it is never overwritten."""

    remedy = "Remove the file, or name another destination."


class DestinationBusy(DestinationRefused):
    """Another transfer is writing to that destination."""

    remedy = "Wait for the other transfer, or name another destination."


class Unauthenticated(SwarmError):
    """No key or token came with the request, or one that is not (or no longer) known."""

    remedy = (
        "On a node set [swarm] node_key_file to the key that `swarm node add` printed; at a "
        "command give --token-file; over HTTP send `Authorization: Bearer ...`."
    )


class Forbidden(SwarmError):
    """The credentials are good, and not for this: another address, or another right."""

    remedy = "Use credentials that have this right; a node's key works from its own addresses."


class NotFound(SwarmError):
    """There is no such thing."""

    remedy = "Check the id."


class ImageUnknown(NotFound):
    """No source has an active image of that id."""

    remedy = "See `swarm image list` for ids and names; in Glance the image must be active."


class NodeUnknown(NotFound):
    """No node of that name is registered."""

    remedy = "See `swarm node list`."


class TransferUnknown(NotFound):
    """The agent has no transfer of that id."""


class ImageRefused(SwarmError):
    """The image can't be shared, and asking again does not change that."""

    remedy = "Upload the image to Glance anew."


class ImageCorrupt(ImageRefused):
    """The bytes do not have the hash that Glance recorded."""


class ImageUnsafe(ImageRefused):
    """The image failed the format inspection that Nova makes."""


class ImageFailed(ImageRefused):
    """A seeder tried to convert the image and gave up; the detail says why."""


class Conflict(SwarmError):
    """It contradicts what is already there."""

    remedy = "Look at the present state first."


class TorrentConflict(Conflict):
    """The same variant of the same image was published with another info-hash."""


class IllegalTransition(Conflict):
    """The state table has no such step."""


class Unavailable(SwarmError):
    """It may work later, unchanged."""

    remedy = "Try again later."


class ImageNotReady(Unavailable):
    """The image is being converted."""

    remedy = "Ask again, with a longer wait."


class NoSeeder(Unavailable):
    """No seeder is connected that could convert the image."""

    remedy = "Start a seeder, or check that it reaches the tracker."


class QueueFull(Unavailable):
    """The agent has as many transfers waiting as it may hold."""


class TrackerUnreachable(Unavailable):
    """The tracker does not answer."""

    remedy = "Check that the tracker runs and that [swarm] tracker_url names it."


class AgentUnreachable(Unavailable):
    """The peer agent does not answer."""

    remedy = "Check that `swarm peer serve` runs on this host and listens where the request went."


class SeederUnreachable(Unavailable):
    """The seeder does not answer."""

    remedy = "Check that `swarm seeder serve` runs and listens where the request went."


class SourceUnreachable(Unavailable):
    """Glance, or the directory of images, can't be read now."""

    remedy = "Check the [glance] section, or the directory, and Glance's own health."


class NoSpace(SwarmError):
    """The file system has no room for the image."""

    remedy = "Free space on the destination's file system and ask again."


class StorageFailed(SwarmError):
    """The file system refused to read or write; the detail has its words."""

    remedy = "Check the destination's file system and the kernel log."


class RoleFailed(SwarmError):
    """A role that was started as a child process ended, or did not become ready."""

    remedy = "Read the end of its log above."
