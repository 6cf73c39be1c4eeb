"""Billing over HTTP: routes parse, open transactions through the doors, call use cases, shape answers."""
