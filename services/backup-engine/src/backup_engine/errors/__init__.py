"""Everything that can go wrong in backup-engine, as one tree: each class is one fact with a stable code and advice.

DomainError (common)
 ├─ what a caller asked for
 │   ├─ not found: EsxiServerNotFound VirtualMachineNotFound ConfigurationNotFound JobNotFound RestoreJobNotFound
 │   │             RestorePointNotFound DiskNotFound OrganizationDeleted
 │   ├─ conflict:  EsxiServerExists EsxiServerInUse EsxiServerInactive ConfigurationNameTaken
 │   │             ContentNotReady VaultReadOnly RestorePointGone
 │   ├─ forbidden: OrganizationSuspended QuotaReached
 │   └─ invalid:   NoVirtualMachines ServersDiffer NoSuchDatastore DatastoreNotChosen ExportFolderMissing
 ├─ what is not yet: OrganizationBeingPrepared VaultBeingPrepared PredecessorMissing
 ├─ what a task met: StaleToken LeaseTooOld ChunkNotLive Cancelled Interrupted AttemptsExhausted SnapshotGone
 │                   DiskLeftOut RestoreLeftOut ConsolidationNeeded
 │                   UnknownSnapshot CredentialsUnreadable TaskBroke; and the store's and the vault's own errors
 │                   (ports/vault.py, vault/errors.py)
 └─ HypervisorError: what a host answered (hypervisor.py)

A task keeps the error that ended it as a problem object with both texts (domain/problem.py); the reader's language
is chosen when it is read.
"""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from common.errors import Conflict, Forbidden, Invalid, NotFound, NotYet, Unavailable

# --- what a caller asked for -----------------------------------------------------------------------------------------


class OrganizationDeleted(NotFound):
    """For good: what it had is being erased, or is."""

    code = "organization_deleted"
    en = "This organization has been deleted. Your others are at /api/tenants/organizations/."
    fr = "Cette organisation a été supprimée. Vos autres : /api/tenants/organizations/."


class EsxiServerNotFound(NotFound):
    code = "esxi_server_not_found"
    en = "There is no such ESXi server. Yours are at /api/esxi-servers/."
    fr = "Ce serveur ESXi n'existe pas. Les vôtres : /api/esxi-servers/."


class VirtualMachineNotFound(NotFound):
    code = "virtual_machine_not_found"
    en = "There is no such virtual machine. Synchronise the server and try again."
    fr = "Cette machine virtuelle n'existe pas. Synchronisez le serveur puis réessayez."


class ConfigurationNotFound(NotFound):
    code = "configuration_not_found"
    en = "There is no such backup configuration. Yours are at /api/backup-configs/."
    fr = "Cette configuration de sauvegarde n'existe pas. Les vôtres : /api/backup-configs/."


class JobNotFound(NotFound):
    code = "backup_job_not_found"
    en = "There is no such backup job. Yours are at /api/backup-jobs/."
    fr = "Cette tâche de sauvegarde n'existe pas. Les vôtres : /api/backup-jobs/."


class RestoreJobNotFound(NotFound):
    code = "restore_job_not_found"
    en = "There is no such restore job. Yours are at /api/restore/jobs/."
    fr = "Cette tâche de restauration n'existe pas. Les vôtres : /api/restore/jobs/."


class RestorePointNotFound(NotFound):
    code = "restore_point_not_found"
    en = "There is no such restore point. Yours are at /api/restore-points/."
    fr = "Ce point de restauration n'existe pas. Les vôtres : /api/restore-points/."


class RestorePointGone(Conflict):
    code = "restore_point_gone"
    en = "This restore point was deleted more than seven days ago and can't be brought back any more."
    fr = "Ce point de restauration a été supprimé il y a plus de sept jours et ne peut plus être rétabli."


class DiskNotFound(NotFound):
    code = "disk_not_found"
    en = "The restore point has no such disk. Read the point for its disks."
    fr = "Ce point de restauration ne contient pas ce disque. Consultez le point pour ses disques."


class EsxiServerExists(Conflict):
    code = "esxi_server_exists"
    en = "{hostname}:{port} is already registered in this organization."
    fr = "{hostname}:{port} est déjà enregistré dans cette organisation."


class EsxiServerInUse(Conflict):
    code = "esxi_server_in_use"
    en = "Backups, configurations or jobs refer to this server. Deactivate it instead (is_active: false)."
    fr = "Des sauvegardes, configurations ou tâches utilisent ce serveur. Désactivez-le plutôt (is_active : false)."


class EsxiServerInactive(Conflict):
    code = "esxi_server_inactive"
    en = "This server is deactivated. Activate it first (is_active: true)."
    fr = "Ce serveur est désactivé. Activez-le d'abord (is_active : true)."


class ConfigurationNameTaken(Conflict):
    code = "configuration_name_taken"
    en = "The organization already has a configuration named {name}."
    fr = "L'organisation a déjà une configuration nommée {name}."


class ContentNotReady(Conflict):
    code = "restore_content_not_ready"
    en = "The disk can be downloaded once the restore job is completed; it is {status}."
    fr = "Le disque pourra être téléchargé une fois la restauration terminée ; elle est à l'état {status}."


class VaultReadOnly(Conflict):
    """The database is older than the vault: restores go on, nothing is written or deleted."""

    code = "vault_read_only"
    en = (
        "The vault holds newer backups than the database knows of. Restores work; nothing is backed up or deleted "
        "before an operator has looked at both."
    )
    fr = (
        "Le coffre contient des sauvegardes plus récentes que la base. Les restaurations fonctionnent ; rien n'est "
        "sauvegardé ni supprimé avant qu'un opérateur ait examiné les deux."
    )


class OrganizationSuspended(Forbidden):
    code = "organization_suspended"
    en = (
        "The organization is {status}: reading and restoring still work, changes need a paid subscription "
        "(/api/tenants/orders/) or, where our team holds it, its consent."
    )
    fr = (
        "L'organisation est {status} : lecture et restauration restent possibles, toute modification exige un "
        "abonnement payé (/api/tenants/orders/) ou, si notre équipe la retient, son accord."
    )
    words: ClassVar = {
        "status": {
            "suspended": ("suspended", "suspendue"),
            "cancelled": ("cancelled", "résiliée"),
            "expired": ("expired", "expirée"),
        }
    }


class QuotaReached(Forbidden):
    """A plan's limit; ``resource`` is the API's word, the text names it in the reader's language."""

    code = "quota_reached"
    en = "Limit of {limit} {label} reached. Please upgrade your plan."
    fr = "Limite de {limit} {label} atteinte. Veuillez mettre à niveau votre plan."

    LABELS: ClassVar[dict[str, tuple[str, str]]] = {
        "esxi_servers": ("serveur(s) ESXi", "ESXi server(s)"),
        "vms": ("machine(s) virtuelle(s)", "virtual machine(s)"),
        "backups_per_month": ("sauvegarde(s) par mois", "backup(s) per month"),
        "storage_gb": ("Go de stockage", "GB of storage"),
    }

    def __init__(self, *, resource: str, limit: int, current: int) -> None:
        super().__init__(resource=resource, limit=limit, current=current)

    def text(self, language: str) -> str:
        fr, en = self.LABELS[str(self.fields["resource"])]
        template = self.fr if language == "fr" else self.en
        return template.format(limit=self.fields["limit"], label=fr if language == "fr" else en)


class NoVirtualMachines(Invalid):
    code = "no_virtual_machines"
    en = "The configuration protects no virtual machine. Add at least one to it."
    fr = "La configuration ne protège aucune machine virtuelle. Ajoutez-en au moins une."


class ServersDiffer(Invalid):
    code = "virtual_machine_on_other_server"
    en = "Every virtual machine of a configuration must belong to its server."
    fr = "Toutes les machines virtuelles d'une configuration doivent appartenir à son serveur."


class NoSuchDatastore(Invalid):
    code = "datastore_unknown"
    en = (
        "The server has no datastore named {datastore}. Synchronise it (sync_vms) or choose one of GET "
        "/api/datastores/."
    )
    fr = (
        "Le serveur n'a pas de datastore nommé {datastore}. Synchronisez-le (sync_vms) ou choisissez-en un "
        "dans GET /api/datastores/."
    )


class DatastoreNotChosen(Invalid):
    code = "datastore_required"
    en = "The server has several datastores: say which one the virtual machine goes to (field datastore)."
    fr = "Le serveur a plusieurs datastores : indiquez celui qui recevra la machine virtuelle (champ datastore)."


class ExportFolderMissing(Invalid):
    code = "export_folder_missing"
    en = "This deployment has no export folder: use the download of the restore job, or set EXPORT_FOLDER."
    fr = (
        "Ce déploiement n'a pas de dossier d'export : utilisez le téléchargement de la restauration, ou "
        "définissez EXPORT_FOLDER."
    )


# --- what is not yet -------------------------------------------------------------------------------------------------


class OrganizationBeingPrepared(Unavailable):
    code = "organization_being_prepared"
    en = "Your organization is being prepared. Try again in a second."
    fr = "Votre organisation est en cours de préparation. Réessayez dans une seconde."

    def __init__(self) -> None:
        super().__init__(retry_after=timedelta(seconds=1))


class VaultBeingPrepared(Unavailable):
    code = "vault_being_prepared"
    en = "The organization's vault is being prepared. Try again in a few seconds."
    fr = "Le coffre de l'organisation est en cours de préparation. Réessayez dans quelques secondes."

    def __init__(self) -> None:
        super().__init__(retry_after=timedelta(seconds=5))


class PredecessorMissing(NotYet):
    code = "predecessor_missing"
    en = "The organization's provisioning has not arrived yet."
    fr = "La création de l'organisation n'est pas encore arrivée."


# --- what a task met -------------------------------------------------------------------------------------------------


class StaleToken(Conflict):
    """The attempt is no longer the task's current one; it must stop and change nothing more."""

    code = "stale_token"
    en = "Another attempt has taken over this task."
    fr = "Une autre tentative a repris cette tâche."


class LeaseTooOld(Conflict):
    """The runner's own fence: the last successful renewal is too long ago to act on anything shared."""

    code = "lease_too_old"
    en = "The runner lost touch with its lease and stopped by itself; the task is tried again."
    fr = "L'exécuteur a perdu le contact avec son bail et s'est arrêté ; la tâche sera reprise."


class ChunkNotLive(Conflict):
    code = "chunk_not_live"
    en = "A chunk that this restore point needs is being collected; the task is tried again."
    fr = "Un bloc nécessaire à ce point est en cours de collecte ; la tâche sera reprise."


class Cancelled(Conflict):
    code = "cancelled"
    en = "The task was cancelled by a person."
    fr = "La tâche a été annulée par un utilisateur."


class Interrupted(Conflict):
    """The runner was asked to stop (SIGTERM); the task is handed back and does not lose an attempt."""

    code = "interrupted"
    en = "The runner was stopped; the task goes on elsewhere."
    fr = "L'exécuteur a été arrêté ; la tâche continue ailleurs."


class AttemptsExhausted(Conflict):
    code = "attempts_exhausted"
    en = (
        "{attempts} attempts lost their runner without progress. Check the runner's resources and the "
        "network, then start again."
    )
    fr = (
        "{attempts} tentatives ont perdu leur exécuteur sans progresser. Vérifiez les ressources et le "
        "réseau, puis relancez."
    )


class SnapshotGone(Conflict):
    code = "snapshot_gone"
    en = "The snapshot being read was removed by someone else; nothing was committed. Start the backup again."
    fr = "L'instantané en cours de lecture a été supprimé par un tiers ; rien n'a été validé. Relancez la sauvegarde."


class DiskLeftOut(Conflict):
    """A warning, not an end: independent and raw-mapped disks are not part of snapshots."""

    code = "disk_left_out"
    en = "The disk {disk} is independent, raw-mapped or shared, and not part of this restore point."
    fr = "Le disque {disk} est indépendant, en mappage direct ou partagé : il ne fait pas partie de ce point."


class RestoreLeftOut(Conflict):
    """A warning: the machine is made without this device."""

    code = "restore_left_out"
    en = "The device {device} cannot be made again by a restore; add it by hand."
    fr = "Le périphérique {device} ne peut être recréé par une restauration ; ajoutez-le à la main."


class ConsolidationNeeded(Conflict):
    """A warning: the snapshot is gone, its files are not."""

    code = "consolidation_needed"
    en = "The host left delta files of the machine {moid} behind. Consolidate its disks on the host."
    fr = "L'hôte a laissé des fichiers delta de la machine {moid}. Consolidez ses disques sur l'hôte."


class UnknownSnapshot(Conflict):
    """A warning: it bears our name and nobody asked for it; it goes after 24 hours."""

    code = "unknown_snapshot"
    en = "The host has a snapshot {name} of ours that is in no ledger; it is removed after 24 hours."
    fr = "L'hôte a un instantané {name} à notre nom, absent du registre ; il sera supprimé après 24 heures."


class CredentialsUnreadable(Conflict):
    code = "credentials_unreadable"
    en = "The server's stored password cannot be opened with this deployment's key. Enter it again."
    fr = (
        "Le mot de passe enregistré du serveur ne peut être ouvert avec la clé de ce déploiement. "
        "Saisissez-le à nouveau."
    )


class TaskBroke(Conflict):
    """Our bug or an answer that nobody foresaw; the log has the stack under the same task id."""

    code = "internal_error"
    en = "The task ended by an unexpected error ({reason}). It is logged under this task's id."
    fr = (
        "La tâche s'est terminée par une erreur inattendue ({reason}). Elle est journalisée sous "
        "l'identifiant de la tâche."
    )
