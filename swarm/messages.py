"""The bodies that cross the wire between tracker, seeder, agent and client.

One model per body, used by both ends. What a model does not name is refused, so that a misspelt
member is an error and not silence.
"""

from __future__ import annotations

import enum
import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

#: Glance's ids are UUIDs in their canonical text form (glance/api/v2/images.py).
IMAGE_ID_PATTERN = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ImageId = Annotated[str, StringConstraints(pattern=f"^{IMAGE_ID_PATTERN}$")]
#: No NUL: PostgreSQL has none in its text.
Text = Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]*$", max_length=256)]


def is_image_id(text: str) -> bool:
    """Tell whether ``text`` has the form of an image's id."""
    return re.fullmatch(IMAGE_ID_PATTERN, text) is not None


class Message(BaseModel):
    """Base of every body: immutable, and strict about names."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Health(Message):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Variant(str, enum.Enum):
    """The form of an image that a torrent carries."""

    ORIGINAL = "original"
    """The bytes that Glance has."""
    RAW = "raw"
    """Their raw disk."""


class VariantState(str, enum.Enum):
    """How far a variant is on its way to a torrent."""

    KNOWN = "known"
    CONVERTING = "converting"
    PUBLISHED = "published"
    FAILED = "failed"


class ImageDescription(Message):
    """What a source says of an image; the body of ``PUT /v1/images/{id}``.

    The fields are Glance's own (API v2). ``os_hash_value`` is None for a source that records no
    hash; the seeder then publishes what it computed itself.
    """

    id: ImageId
    name: Text
    size: int = Field(gt=0, lt=1 << 63, description="bytes")
    disk_format: Text
    container_format: Text = "bare"
    os_hash_algo: Text | None = None
    os_hash_value: Hex | None = None


class VariantDocument(Message):
    """One variant of an image, as the tracker knows it."""

    variant: Variant
    state: VariantState
    reason: Text | None = Field(None, description="why it failed, in one sentence")
    info_hash: Hex | None = Field(
        None,
        description="what names the torrent: its v2 info-hash (SHA-256, 64 hex digits), or its v1 "
        "info-hash (SHA-1, 40) if it is for v1 only",
    )
    info_hash_v1: Hex | None = Field(
        None, description="v1 info-hash, 40 hex digits, of a v1 or hybrid torrent"
    )
    size: int | None = Field(None, description="bytes of this form")
    piece_length: int | None = Field(None, description="bytes")
    hash_algo: Text | None = Field(None, description="of the whole form: Glance's for `original`")
    hash_value: Hex | None = None

    @property
    def announce_hashes(self) -> set[bytes]:
        """What the clients of its torrent announce, 20 bytes each; none if it is not published."""
        both = (self.info_hash, self.info_hash_v1)
        return {bytes.fromhex(digits)[:20] for digits in both if digits is not None}


class ImageDocument(ImageDescription):
    """An image and its variants; the answer of ``GET /v1/images/{id}``."""

    variants: list[VariantDocument] = []

    def variant(self, variant: Variant) -> VariantDocument | None:
        """Return the document of ``variant``, or None if nobody asked for it yet."""
        return next((v for v in self.variants if v.variant is variant), None)


class ImageList(Message):
    """The answer of ``GET /v1/images``: newest first."""

    images: list[ImageDocument]


#: As of a host, in lower case: some databases and most people take both cases for one.
NODE_NAME_PATTERN = r"[a-z0-9](?:[a-z0-9._-]{0,253}[a-z0-9])?"
NodeName = Annotated[str, StringConstraints(pattern=f"^{NODE_NAME_PATTERN}$")]
#: Of a rack or a zone.
Label = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$", max_length=255)]


def is_node_name(text: str) -> bool:
    """Tell whether ``text`` has the form of a node's name."""
    return re.fullmatch(NODE_NAME_PATTERN, text) is not None


class NodeDescription(Message):
    """What an operator says of a node; the body of ``POST /v1/nodes``."""

    name: NodeName
    rack: Label = Field("", description="empty: not known")
    zone: Label = Field("", description="availability zone; empty: not known")
    addresses: list[Annotated[str, StringConstraints(max_length=64)]] = Field(
        min_length=1,
        max_length=64,
        description="hosts and CIDRs that the node may come from, none of which another node has",
    )
    may_publish: bool = Field(default=False, strict=True, description="whether it is a seeder")


class NodeKeyDocument(Message):
    """A key of a node, of which nobody has more than the hash."""

    created_at: datetime
    expires_at: datetime | None = Field(
        None, description="when its grace ends, if another key took its place"
    )


class NodeDocument(NodeDescription):
    """A node as the tracker knows it."""

    created_at: datetime
    has_key: bool = Field(description="false: its keys were revoked")
    keys: list[NodeKeyDocument]
    is_connected: bool = Field(
        default=False, description="whether its control channel is open at the tracker that answers"
    )


class NodeList(Message):
    """The answer of ``GET /v1/nodes``: by name."""

    nodes: list[NodeDocument]


class NodeRotation(Message):
    """The body of ``POST /v1/nodes/{name}/rotate``."""

    grace_seconds: int = Field(
        3600,
        ge=0,
        le=30 * 86400,
        strict=True,
        description="how long the old key goes on; 0: it ends at once",
    )


class NodeCreated(Message):
    """A node and its new key, which is told this once."""

    node: NodeDocument
    key: str


class SwarmSummary(Message):
    """One published torrent and how many have it."""

    image_id: ImageId
    name: Text
    variant: Variant
    info_hash: Hex
    size: int = Field(description="bytes")
    seeders: int = Field(description="complete peers, each once per address family")
    leechers: int = Field(description="incomplete ones, likewise")
    completed: int = Field(description="downloads that were completed, as far as is remembered")


class SwarmList(Message):
    """A page of the published torrents, by image id and variant."""

    swarms: list[SwarmSummary]
    next_marker: Text | None = Field(None, description="names the next page; null at the end")


class Share(Message):
    """What some nodes have of one torrent."""

    seeders: int = Field(description="complete nodes")
    leechers: int = Field(description="incomplete ones")
    held_bytes: int = Field(description="verified bytes at all of them together")
    held_percent: float = Field(description="of what they will have when all are complete")


class RackShare(Share):
    """What the nodes of one rack have of it."""

    rack: Text = Field(description="empty: those whose rack is not known")


class SwarmOfVariant(Share):
    """The swarm of one variant at this moment."""

    variant: Variant
    info_hash: Hex
    size: int = Field(description="bytes")
    completed: int = Field(description="downloads that were completed, as far as is remembered")
    racks: list[RackShare] = Field(description="by name")


class SwarmDocument(Message):
    """The swarms of an image at this moment, one for each published variant."""

    image_id: ImageId
    name: Text
    variants: list[SwarmOfVariant]


class VariantReport(Message):
    """What a seeder says of a conversion; ``PUT /v1/images/{id}/variants/{variant}``."""

    state: Literal[VariantState.KNOWN, VariantState.CONVERTING, VariantState.FAILED]
    reason: Text | None = None


class Convert(Message):
    """From the tracker to a seeder: an agent asked for this variant."""

    type: Literal["convert"] = "convert"
    image_id: ImageId
    variant: Variant


class Refusal(Message):
    """From a seeder to the tracker: it can't convert that variant, and why.

    ``code`` is a code of ``swarm/web/problems.py``; ``image_unknown`` when the source has no
    active image of that id.
    """

    type: Literal["refusal"] = "refusal"
    image_id: ImageId
    variant: Variant
    code: Text
    detail: Text


class DestinationFormat(str, enum.Enum):
    """What the destination wants to hold."""

    AS_IS = "as_is"
    RAW = "raw"


class Verify(str, enum.Enum):
    """How an arrived image is verified."""

    PIECES = "pieces"
    """Each piece against the merkle tree, as it arrives."""
    FULL = "full"
    """And the whole file, read again from the disk, against its hash."""


class TransferState(str, enum.Enum):
    """The states of DESIGN.md; the steps between them are in ``peer/transfers/states.py``."""

    QUEUED = "queued"
    PREPARING = "preparing"
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    PLACING = "placing"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TransferRequest(Message):
    """The body of ``POST /v1/transfers``.

    Exactly one of ``image_id`` and ``source_url`` (``glance:<image id>``); ``destination_url`` is
    ``file:///absolute/path``.
    """

    image_id: ImageId | None = None
    source_url: Text | None = None
    destination_url: Annotated[str, StringConstraints(max_length=4096)]
    destination_format: DestinationFormat = DestinationFormat.AS_IS
    verify: Verify = Verify.PIECES


class Failure(Message):
    """Why a transfer failed: at which step, the reason, and what to do."""

    step: TransferState
    code: Text
    reason: Annotated[str, StringConstraints(max_length=4096)]
    remedy: Text


class TransferDocument(Message):
    """A transfer as its agent knows it; bytes throughout."""

    id: str
    image_id: ImageId
    source_url: str
    destination_url: str
    destination_format: DestinationFormat
    verify: Verify
    state: TransferState
    failure: Failure | None = None
    variant: Variant | None = None
    info_hash: Hex | None = None
    size: int | None = Field(None, description="bytes of the variant")
    progress: int = Field(0, description="bytes verified at the destination")
    downloaded: int = Field(0, description="bytes received from peers since the agent started")
    uploaded: int = Field(0, description="bytes sent to peers since the agent started")
    download_rate: int = Field(0, description="bytes per second")
    upload_rate: int = Field(0, description="bytes per second")
    peers: int = Field(0, description="connections")
    created_at: datetime
    updated_at: datetime


class TransferList(Message):
    """The answer of ``GET /v1/transfers``: newest first."""

    transfers: list[TransferDocument]


class SeedDocument(Message):
    """One torrent that a seeder seeds; bytes throughout."""

    image_id: ImageId
    variant: Variant
    info_hash: Hex
    size: int
    uploaded: int = Field(description="bytes sent to peers since the seeder started")
    upload_rate: int = Field(description="bytes per second")
    peers: int = Field(description="connections")
    conversion_seconds: float | None = Field(
        None, description="that hashing took; None if the hashes were on record"
    )


class SeedList(Message):
    """The answer of a seeder's ``GET /v1/seeds``."""

    seeds: list[SeedDocument]
