"""PostgreSQL behind row-level security: three doors, one transaction per edge call, migrations, start-up checks.

There is no fourth way to a session and no ``SET ROLE``: each door is a login role of its own (`Database`).
"""

from common.persistence.database import Database
from common.persistence.scope import Scope
from common.persistence.store import Store
from common.persistence.transaction import MailMessage, Transaction

__all__ = ["Database", "MailMessage", "Scope", "Store", "Transaction"]
