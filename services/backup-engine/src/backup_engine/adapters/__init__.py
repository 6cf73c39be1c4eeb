"""Ports made real. Only `bootstrap` and `transports` name what is in here."""
