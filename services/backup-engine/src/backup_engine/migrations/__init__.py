"""The schema's history; run by ``python -m backup_engine migrate`` as the owner role."""
