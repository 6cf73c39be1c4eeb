"""What backup-engine does, one verb a module. A use case gets its open transaction and its ports as arguments."""
