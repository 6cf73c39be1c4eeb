"""Ports made real: payment providers over HTTP."""
