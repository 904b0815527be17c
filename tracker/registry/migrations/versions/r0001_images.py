"""Images and their variants.

Revision ID: 0001
Revises: nothing: it is the first.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_METAINFO = sa.LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb")
_TIMESTAMP = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
_OPTIONS: dict[str, Any] = {
    f"{name}_{key}": value for name in ("mysql", "mariadb") for key, value in _MARIADB.items()
}


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "images",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("disk_format", sa.String(1024), nullable=False),
        sa.Column("container_format", sa.String(1024), nullable=False),
        sa.Column("os_hash_algo", sa.String(1024)),
        sa.Column("os_hash_value", sa.String(256)),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_images"),
        **_OPTIONS,
    )
    op.create_table(
        "variants",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("variant", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(1024)),
        sa.Column("info_hash", sa.String(64)),
        sa.Column("announce_hash", sa.String(40)),
        sa.Column("size", sa.BigInteger()),
        sa.Column("piece_length", sa.BigInteger()),
        sa.Column("hash_algo", sa.String(1024)),
        sa.Column("hash_value", sa.String(256)),
        sa.Column("metainfo", _METAINFO),
        sa.PrimaryKeyConstraint("image_id", "variant", name="pk_variants"),
        sa.ForeignKeyConstraint(
            ["image_id"], ["images.id"], name="fk_variants_image_id", ondelete="CASCADE"
        ),
        **_OPTIONS,
    )
    op.create_index("ix_variants_announce_hash", "variants", ["announce_hash"])


def downgrade() -> None:
    """Drop them again."""
    op.drop_table("variants")
    op.drop_table("images")
