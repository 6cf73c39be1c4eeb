"""The audit log's seal: committed rows are numbered and chained per organization, so that a later change shows.

`common.persistence.Transaction.audit` writes the rows; here are the chain, the sealer, its verification and the
fact by which rows reach the merged view.
"""

from common.audit.fact import AuditRecorded
from common.audit.sealer import Sealer
from common.audit.verifier import Fault, verify, verify_platform_chain

__all__ = ["AuditRecorded", "Fault", "Sealer", "verify", "verify_platform_chain"]
