"""The ways to move a disk's bytes, chosen by what they can do and never by name."""
