"""A small OpenID Connect provider: discovery, authorization code with PKCE, signed ID tokens.

Whoever it sends back is set from outside (`PUT /_sim/person`), and so are its lies (`PUT /_sim/lies`).
"""
