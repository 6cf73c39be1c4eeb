"""Rows of tenancy: tables, repositories and the unit of work. Table objects do not leave this package."""
