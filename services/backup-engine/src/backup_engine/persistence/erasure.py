"""What becomes of backup-engine's rows when an organization is deleted: nothing stays but that it was one.

Keys and objects go first (`workflows/erase_vault.py`): from then on what is left of a vault is noise.
"""

from common.persistence.erasure import Target, plan_of

PLAN = plan_of(
    *(
        Target(table)
        for table in (
            "point_pins", "point_disks", "virtual_disks", "tasks", "restore_points", "backup_configuration_vms",
            "walked_nodes", "vault_keys", "networks", "datastores", "collections", "chunks", "virtual_machines",
            "backup_configurations", "vaults", "esxi_servers", "snapshot_ledger", "sites", "quota_counters",
            "backup_jobs",
        )
    ),
    kept={"tenant_state": "that it is deleted, so that a repeated fact makes no new vault"},
)  # fmt: skip
