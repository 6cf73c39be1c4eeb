"""Several transactions with something slow between them: hashing a password, asking an identity provider."""
