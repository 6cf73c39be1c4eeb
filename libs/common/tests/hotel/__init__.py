"""A hotel booking service, the smallest that uses every mechanism of ``common``: its tests' only subject."""
