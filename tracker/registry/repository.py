"""Reads and writes the registry; speaks in the messages of the API, never in rows.

It keeps what it is given and decides nothing: the rules are in ``tracker/catalogue.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import selectinload, undefer

from swarm.messages import ImageDocument, VariantDocument
from tracker.registry.database import migrate, open_engine
from tracker.registry.models import Base, Image, ImageVariant
from tracker.registry.nodes import NodeRepository
from tracker.registry.operations import Operations, each_to_its_end

if TYPE_CHECKING:
    from typing_extensions import Self

    from swarm.messages import ImageDescription, Variant

_ANNOUNCE_HASH_DIGITS = 40
_VARIANT_COLUMNS = tuple(VariantDocument.model_fields)


@dataclass(frozen=True)
class StoredVariant:
    """One variant of a registered image, as far as it has come."""

    #: None if nobody asked for it or reported it yet.
    document: VariantDocument | None
    #: The torrent, if it is published.
    metainfo: bytes | None


class Published(NamedTuple):
    """One published torrent and whose it is."""

    image_id: str
    name: str
    document: VariantDocument


@each_to_its_end
class Registry:
    """The database of images, torrents and nodes; use it as an asynchronous context manager.

    Entering brings the schema up to date. Raises :class:`~swarm.errors.ConfigurationError` there
    if the database can't be used. Leaving waits for what was begun, whoever waits for that.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._engine: AsyncEngine = open_engine(url)
        self._session = async_sessionmaker(self._engine, expire_on_commit=False)
        self._operations = Operations()
        self.nodes = NodeRepository(self._session, self._operations)

    async def __aenter__(self) -> Self:
        await migrate(self._url)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._operations.close()
        finally:
            await self._engine.dispose()

    async def list_images(self, *, name: str | None = None) -> list[ImageDocument]:
        """Return all images, or those of one name, the newest registration first."""
        query = (
            select(Image)
            .options(selectinload(Image.variants))
            .order_by(Image.created_at.desc(), Image.id)
        )
        if name is not None:
            query = query.where(Image.name == name)
        async with self._session() as session:
            return [_document(image) for image in await session.scalars(query)]

    async def find_image(self, image_id: str) -> ImageDocument | None:
        """Return one image with its variants, or None."""
        async with self._session() as session:
            image = await session.get(Image, image_id, options=[selectinload(Image.variants)])
            return None if image is None else _document(image)

    async def find_variant(self, image_id: str, variant: Variant) -> StoredVariant | None:
        """Return one variant with its torrent; None if the image is not registered."""
        async with self._session() as session:
            row = await session.get(
                ImageVariant, (image_id, variant.value), options=[undefer(ImageVariant.metainfo)]
            )
            if row is not None:
                return StoredVariant(_variant_document(row), row.metainfo)
            image = await session.get(Image, image_id)
            return None if image is None else StoredVariant(None, None)

    async def save_image(self, image: ImageDescription) -> None:
        """Write a description, new or changed; the variants stay."""
        await self._write(Image(**image.model_dump()))

    async def save_variant(
        self, image_id: str, document: VariantDocument, metainfo: bytes | None = None
    ) -> None:
        """Write all of one variant of a registered image, over what was there."""
        values = document.model_dump(mode="json")
        info_hash = document.info_hash
        announce_hash = None if info_hash is None else info_hash[:_ANNOUNCE_HASH_DIGITS]
        await self._write(
            ImageVariant(
                image_id=image_id, announce_hash=announce_hash, metainfo=metainfo, **values
            )
        )

    async def _write(self, row: Base) -> None:
        """Write a row, new or over what is there.

        Another replica may make it between our look and our writing; the second look finds it.
        """
        try:
            await self._merge(row)
        except IntegrityError:
            await self._merge(row)

    async def _merge(self, row: Base) -> None:
        async with self._session.begin() as session:
            await session.merge(row)

    async def delete_image(self, image_id: str) -> None:
        """Remove an image and its variants, if it is there."""
        async with self._session.begin() as session:
            await session.execute(delete(Image).where(Image.id == image_id))

    async def announce_hashes(self) -> list[bytes]:
        """Return the announce hashes (20 bytes) of all published torrents, of a hybrid two."""
        columns = (ImageVariant.announce_hash, ImageVariant.info_hash_v1)
        query = select(*columns).where(ImageVariant.announce_hash.is_not(None))
        async with self._session() as session:
            rows = await session.execute(query)
            return [bytes.fromhex(digits) for row in rows for digits in set(row) if digits]

    async def list_published(
        self, *, limit: int, after: tuple[str, str] = ("", "")
    ) -> list[Published]:
        """Return up to ``limit`` published torrents, those ``after`` an image id and variant."""
        key = (ImageVariant.image_id, ImageVariant.variant)
        query = (
            select(Image.name, ImageVariant)
            .join(Image, Image.id == ImageVariant.image_id)
            .where(ImageVariant.announce_hash.is_not(None))
            .where(or_(key[0] > after[0], and_(key[0] == after[0], key[1] > after[1])))
            .order_by(*key)
            .limit(limit)
        )
        async with self._session() as session:
            rows = await session.execute(query)
            return [Published(row.image_id, name, _variant_document(row)) for name, row in rows]

    async def variant_counts(self) -> dict[tuple[str, str], int]:
        """Return how many variants there are, by variant and state."""
        columns = (ImageVariant.variant, ImageVariant.state)
        query = select(*columns, func.count()).group_by(*columns)
        async with self._session() as session:
            rows = await session.execute(query)
            return {(variant, state): count for variant, state, count in rows}


def _document(image: Image) -> ImageDocument:
    return ImageDocument(
        id=image.id,
        name=image.name,
        size=image.size,
        disk_format=image.disk_format,
        container_format=image.container_format,
        os_hash_algo=image.os_hash_algo,
        os_hash_value=image.os_hash_value,
        variants=[_variant_document(row) for row in image.variants],
    )


def _variant_document(row: ImageVariant) -> VariantDocument:
    return VariantDocument.model_validate({name: getattr(row, name) for name in _VARIANT_COLUMNS})
