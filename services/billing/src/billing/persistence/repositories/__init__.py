"""Rows to domain objects and back, one module per aggregate."""
