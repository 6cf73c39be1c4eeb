"""Builders for tests of this service; nothing here is imported by what runs in production."""
