"""Alembic's history of tenancy's database, inside the package so that the image can migrate itself."""
