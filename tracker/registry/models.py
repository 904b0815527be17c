"""The registry's tables. The migrations build the same ones; a test compares the two.

Types are chosen for SQLite, PostgreSQL and MariaDB alike. Hashes are kept as hex digits: MariaDB
can't index a blob without a prefix length, and an operator can read them.

Names compare as SQLite and PostgreSQL do it, by each character: MariaDB would take `Debian` and
`debian` for one, and may have been set up for Latin letters only.
"""

from __future__ import annotations

from datetime import datetime, timezone

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    ForeignKey,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
)
from sqlalchemy import Text as TextType
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

#: Lengths as in swarm/messages.py.
_TEXT = 1024
_HASH = 256
_NODE_NAME = 255
_LABEL = 255

# MariaDB's plain BLOB holds 64 KiB and its DATETIME whole seconds.
_METAINFO = LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
_TIMESTAMP = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")

#: For MariaDB, by either of the names that its dialect goes by.
TABLE_OPTIONS = {
    f"{dialect}_{option}": value
    for dialect in ("mysql", "mariadb")
    for option, value in (
        ("engine", "InnoDB"),
        ("charset", "utf8mb4"),
        ("collate", "utf8mb4_bin"),
    )
}


def now() -> datetime:
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
    __table_args__ = TABLE_OPTIONS

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(_TEXT))
    #: Bytes.
    size: Mapped[int] = mapped_column(BigInteger)
    disk_format: Mapped[str] = mapped_column(String(_TEXT))
    container_format: Mapped[str] = mapped_column(String(_TEXT))
    os_hash_algo: Mapped[str | None] = mapped_column(String(_TEXT))
    os_hash_value: Mapped[str | None] = mapped_column(String(_HASH))
    #: When it was first registered here, in UTC.
    created_at: Mapped[datetime] = mapped_column(_TIMESTAMP, default=now)

    #: To read by; they are written one at a time, and go with the image by the foreign key.
    variants: Mapped[list[ImageVariant]] = relationship(
        order_by="ImageVariant.variant", viewonly=True
    )


class ImageVariant(Base):
    """A form of an image, and its torrent once it is published."""

    __tablename__ = "variants"
    __table_args__ = TABLE_OPTIONS

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


class NodeRow(Base):
    """A node: see ``tracker/nodes/node.py`` for what its members mean."""

    __tablename__ = "nodes"
    __table_args__ = TABLE_OPTIONS

    name: Mapped[str] = mapped_column(String(_NODE_NAME), primary_key=True)
    rack: Mapped[str] = mapped_column(String(_LABEL))
    zone: Mapped[str] = mapped_column(String(_LABEL))
    #: Canonical CIDRs with a space between.
    addresses: Mapped[str] = mapped_column(TextType)
    may_publish: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[datetime] = mapped_column(_TIMESTAMP)
    #: What ``nodes_revision`` came to when the node or its keys last changed.
    revision: Mapped[int] = mapped_column(BigInteger, index=True)

    #: To read by; they go with the node by the foreign key.
    keys: Mapped[list[NodeKeyRow]] = relationship(
        order_by="NodeKeyRow.created_at, NodeKeyRow.key_hash", viewonly=True
    )


class NodeKeyRow(Base):
    """A key of a node, as its hash."""

    __tablename__ = "node_keys"
    __table_args__ = TABLE_OPTIONS

    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    node: Mapped[str] = mapped_column(
        String(_NODE_NAME), ForeignKey("nodes.name", ondelete="CASCADE"), index=True
    )
    created_at: Mapped[datetime] = mapped_column(_TIMESTAMP)
    expires_at: Mapped[datetime | None] = mapped_column(_TIMESTAMP)


class NodesRevisionRow(Base):
    """The one row that each change to a node counts up.

    Whoever changes a node says which count its decision was made at. So changes come one after the
    other at all replicas together, and a replica that looks sees at once whether there is news.
    """

    __tablename__ = "nodes_revision"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
