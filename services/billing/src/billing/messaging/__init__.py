"""The facts of others, and what billing does about them."""
