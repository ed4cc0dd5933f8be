"""How far Zammad's word on each of its tickets was taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "zammad_tickets",
        sa.Column("ticket", sa.String(length=200), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["ticket"], ["tickets.ticket"]),
        sa.PrimaryKeyConstraint("ticket"),
    )


def downgrade() -> None:
    raise NotImplementedError("the desk is not taken back; restore the database from its backup")
