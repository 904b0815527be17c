"""Nodes and their keys.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
_OPTIONS: dict[str, Any] = {
    f"{name}_{key}": value for name in ("mysql", "mariadb") for key, value in _MARIADB.items()
}


def upgrade() -> None:
    """Make the tables; nobody is registered, and nothing has changed yet."""
    op.create_table(
        "nodes",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("rack", sa.String(255), nullable=False),
        sa.Column("zone", sa.String(255), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.Column("may_publish", sa.Boolean(), nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_nodes"),
        **_OPTIONS,
    )
    op.create_index("ix_nodes_revision", "nodes", ["revision"])
    op.create_table(
        "node_keys",
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("node", sa.String(255), nullable=False),
        sa.Column("created_at", _TIMESTAMP, nullable=False),
        sa.Column("expires_at", _TIMESTAMP),
        sa.PrimaryKeyConstraint("key_hash", name="pk_node_keys"),
        sa.ForeignKeyConstraint(
            ["node"], ["nodes.name"], name="fk_node_keys_node", ondelete="CASCADE"
        ),
        **_OPTIONS,
    )
    op.create_index("ix_node_keys_node", "node_keys", ["node"])
    numbers = op.create_table(
        "nodes_revision",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_nodes_revision"),
        **_OPTIONS,
    )
    op.bulk_insert(numbers, [{"id": 1, "number": 0}])


def downgrade() -> None:
    """Drop them again; a tracker of that revision asks nobody who they are."""
    op.drop_table("node_keys")
    op.drop_table("nodes")
    op.drop_table("nodes_revision")
