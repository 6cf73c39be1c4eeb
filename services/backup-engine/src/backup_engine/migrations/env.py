from common.persistence.migrate import run_env

from backup_engine.persistence.tables import metadata

run_env(metadata)
