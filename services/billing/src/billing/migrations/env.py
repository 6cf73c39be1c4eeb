"""Alembic's entry: billing's tables, migrated as the owner role."""

from billing.persistence.tables import metadata
from common.persistence.migrate import run_env

run_env(metadata)
