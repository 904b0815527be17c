"""The v1 info-hash of torrents that v1 clients can read.

Revision ID: 0003
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what is published so far is v2 and has none."""
    op.add_column("variants", sa.Column("info_hash_v1", sa.String(40)))


def downgrade() -> None:
    """Drop it again; a tracker of that revision refuses the announces of v1 clients."""
    op.drop_column("variants", "info_hash_v1")
