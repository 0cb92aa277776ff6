"""The tables of a store, and the version of their columns."""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA = 2
"""Version of the tables. A store of version 1, which lacks `DRIVERS`, is read as it is and completed when it is written
to; one of any other version is refused.
"""
READABLE = (1, SCHEMA)

METADATA = sa.MetaData()
VERSION = sa.Table("nas_schema", METADATA, sa.Column("version", sa.Integer, primary_key=True))
TRIALS = sa.Table(
    "nas_trials",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.String(32), nullable=False),
    sa.Column("strategy", sa.String(64), nullable=False),
    sa.Column("seed", sa.BigInteger, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(12), nullable=False),
    sa.Column("architecture", sa.Text, nullable=False),
    sa.Column("metrics", sa.Text, nullable=False),
    sa.Column("costs", sa.Text, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column("error", sa.Text),
    sa.Column("cached", sa.Boolean, nullable=False),
    sa.Column("notes", sa.Text, nullable=False),
    sa.Column("time", sa.String(32), nullable=False),
    sa.UniqueConstraint("run", "strategy", "number"),
)
DRIVERS = sa.Table(
    "nas_drivers",
    METADATA,
    sa.Column("run", sa.String(32), primary_key=True),
    sa.Column("driver", sa.String(32), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("machine", sa.String(32), nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("born", sa.String(32), nullable=False),
    sa.Column("started", sa.String(32), nullable=False),
    sa.Column("stage", sa.String(16), nullable=False),
    sa.Column("under_way", sa.Text, nullable=False),
    sa.Column("beats", sa.Integer, nullable=False),
    sa.Column("seen", sa.DateTime(timezone=True), nullable=False),
)
"""One row per run that somebody drives: the key lets in no second driver. `seen` is the time of the database, not that
of the driver's machine.
"""
