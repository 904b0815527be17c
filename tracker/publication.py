"""What may be registered and published: the rules, as pure functions.

The tracker is the one place that every seeder's word passes through, so it checks what it can
check without the image's bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swarm.errors import Conflict, ImageCorrupt, MetainfoError, TorrentConflict
from swarm.messages import ImageDescription, ImageDocument, Variant, VariantDocument, VariantState

if TYPE_CHECKING:
    from swarm.messages import VariantReport
    from swarm.metainfo import Metainfo

#: What an image's torrents were made from; immutable in Glance once the image is active.
_CONTENT = ("size", "os_hash_algo", "os_hash_value")


def check_description(present: ImageDocument | None, new: ImageDescription) -> None:
    """Raise :class:`~swarm.errors.Conflict` if ``new`` contradicts what is published."""
    published = present is not None and any(
        variant.state is VariantState.PUBLISHED for variant in present.variants
    )
    changed = [name for name in _CONTENT if getattr(present, name, None) != getattr(new, name)]
    if published and changed:
        raise Conflict(
            f"image {new.id} has a published torrent: its {changed[0]} can't change; "
            "withdraw the image first",
            image_id=new.id,
        )


def is_as_described(present: ImageDocument, description: ImageDescription) -> bool:
    """Return whether the image is on record exactly as ``description`` says."""
    return all(getattr(present, name) == value for name, value in description)


def check_torrent(
    image: ImageDocument, variant: Variant, torrent: Metainfo, *, hash_algo: str, hash_value: str
) -> None:
    """Raise unless ``torrent`` may be published as ``variant`` of ``image``.

    Raises :class:`~swarm.errors.MetainfoError` if it is a torrent of something else,
    :class:`~swarm.errors.ImageCorrupt` if the bytes it was made from are not those that the image's
    source describes, and :class:`~swarm.errors.TorrentConflict` if another one is published.
    """
    if torrent.name != (image.id, variant):
        raise MetainfoError(
            f"the torrent is of {torrent.name}, not of {image.id}.{variant.value}",
            image_id=image.id,
        )
    if variant is Variant.ORIGINAL:
        _check_content(image, torrent.size, hash_algo, hash_value)
    present = image.variant(variant)
    published = None if present is None else present.info_hash
    if published not in (None, torrent.info_hash.hex()):
        raise TorrentConflict(
            f"image {image.id}, variant {variant.value}: another torrent is published, "
            f"with info-hash {published}",
            image_id=image.id,
        )


def _check_content(image: ImageDocument, size: int, hash_algo: str, hash_value: str) -> None:
    if size != image.size:
        raise ImageCorrupt(
            f"image {image.id}: the torrent has {size} bytes, the image {image.size}",
            image_id=image.id,
        )
    is_comparable = image.os_hash_value is not None and image.os_hash_algo == hash_algo
    if is_comparable and hash_value != image.os_hash_value:
        raise ImageCorrupt(
            f"image {image.id}: the {hash_algo} of its bytes is {hash_value}, "
            f"its source has {image.os_hash_value}",
            image_id=image.id,
        )


def published(torrent: Metainfo, *, hash_algo: str, hash_value: str) -> VariantDocument:
    """Return the document of a variant whose torrent is ``torrent``.

    Raises :class:`pydantic.ValidationError` if the hash is not hex digits.
    """
    return VariantDocument(
        variant=torrent.name.variant,
        state=VariantState.PUBLISHED,
        info_hash=torrent.info_hash.hex(),
        info_hash_v1=None if (v1 := torrent.info_hashes.v1) is None else v1.hex(),
        size=torrent.size,
        piece_length=torrent.piece_length,
        hash_algo=hash_algo,
        hash_value=hash_value,
    )


def reported(
    present: VariantDocument | None, variant: Variant, report: VariantReport
) -> VariantDocument:
    """Return what a variant is after ``report``: a published one stays as it is.

    Every other step is allowed, back from failed too: a seeder may try again.
    """
    if present is not None and present.state is VariantState.PUBLISHED:
        return present
    return VariantDocument(variant=variant, state=report.state, reason=report.reason)
