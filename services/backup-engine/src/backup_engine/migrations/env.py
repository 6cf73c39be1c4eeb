from backup_engine.persistence.tables import metadata
from common.persistence.migrate import run_env

run_env(metadata)
