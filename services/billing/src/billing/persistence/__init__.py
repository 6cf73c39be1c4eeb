"""Billing's rows: tables, repositories that turn rows into domain objects, and the unit of work."""
