"""Ports made real: password hashing, token signing, sealing, letters."""
