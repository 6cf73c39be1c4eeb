"""What backup-engine needs of what it does not own; protocols and their values, no implementation."""
