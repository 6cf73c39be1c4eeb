"""The facts of others, and what we do about them."""
