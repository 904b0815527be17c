"""The registry's tables. The migrations build the same ones; a test compares the two.

Types are chosen for SQLite, PostgreSQL and MariaDB alike. Hashes are kept as hex digits: MariaDB
can't index a blob without a prefix length, and an operator can read them.
"""

from __future__ import annotations

from datetime import datetime, timezone

from sqlalchemy import BigInteger, DateTime, ForeignKey, LargeBinary, MetaData, String
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

#: Lengths as in swarm/messages.py.
_TEXT = 1024
_HASH = 256

# MariaDB's plain BLOB holds 64 KiB and its DATETIME whole seconds.
_METAINFO = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
_TIMESTAMP = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def _now() -> datetime:
    """Return UTC without a time zone, which SQLite and MariaDB would drop anyway."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


class Base(DeclarativeBase):
    """What all tables share: constraints with names that a later migration can refer to."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Image(Base):
    """An image as its source describes it."""

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(_TEXT))
    #: Bytes.
    size: Mapped[int] = mapped_column(BigInteger)
    disk_format: Mapped[str] = mapped_column(String(_TEXT))
    container_format: Mapped[str] = mapped_column(String(_TEXT))
    os_hash_algo: Mapped[str | None] = mapped_column(String(_TEXT))
    os_hash_value: Mapped[str | None] = mapped_column(String(_HASH))
    #: When it was first registered here, in UTC.
    created_at: Mapped[datetime] = mapped_column(_TIMESTAMP, default=_now)

    #: To read by; they are written one at a time, and go with the image by the foreign key.
    variants: Mapped[list[ImageVariant]] = relationship(
        order_by="ImageVariant.variant", viewonly=True
    )


class ImageVariant(Base):
    """A form of an image, and its torrent once it is published."""

    __tablename__ = "variants"

    image_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("images.id", ondelete="CASCADE"), primary_key=True
    )
    variant: Mapped[str] = mapped_column(String(16), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(_TEXT))
    info_hash: Mapped[str | None] = mapped_column(String(64))
    #: Of a v1 or hybrid torrent: v1 clients announce it.
    info_hash_v1: Mapped[str | None] = mapped_column(String(40))
    #: The first 20 bytes of the info-hash: what clients announce.
    announce_hash: Mapped[str | None] = mapped_column(String(40), index=True)
    size: Mapped[int | None] = mapped_column(BigInteger)
    piece_length: Mapped[int | None] = mapped_column(BigInteger)
    hash_algo: Mapped[str | None] = mapped_column(String(_TEXT))
    hash_value: Mapped[str | None] = mapped_column(String(_HASH))
    #: The whole torrent, bencoded; megabytes for a large image, so it is read only when asked for.
    metainfo: Mapped[bytes | None] = mapped_column(_METAINFO, deferred=True)
