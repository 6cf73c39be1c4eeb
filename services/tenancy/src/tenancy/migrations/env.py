"""Alembic's environment; everything that it does is in `common.persistence.migrate`."""

from common.persistence.migrate import run_env
from tenancy.persistence.tables import metadata

run_env(metadata)
