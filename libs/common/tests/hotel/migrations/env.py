from common.persistence.migrate import run_env
from hotel.persistence.tables import metadata

run_env(metadata)
