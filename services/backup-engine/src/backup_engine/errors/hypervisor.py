"""What a host answered: the branch `HypervisorError` of the tree in `backup_engine.errors`."""

from __future__ import annotations

from typing import ClassVar

from common.errors import Conflict, DomainError, Invalid, NotFound, Unavailable


class HypervisorError(DomainError):
    """What a host answered, or that it did not; ``retryable``: the same call may succeed later without a person.

    HypervisorError
     ├─ reaching it:   HostNotAllowed HostUnreachable CertificateChanged CertificateUntrusted HypervisorLoginRefused
     │                 HypervisorTimeout HypervisorAnswerRefused
     ├─ being allowed: PrivilegeMissing LicenceRestricted
     ├─ its objects:   VmNotFound SnapshotNotFound HypervisorBusy HypervisorStateConflict QuiesceFailed DatastoreFull
     │                 PlacementNotFound
     ├─ changed areas: ChangeTrackingUnsupported ChangeTrackingUnusable
     ├─ bytes:         LeaseFailed DiskStreamDamaged LeaseDiskUnidentified RangeRefused DatastoreFileLocked
     │                 DatastoreFileMissing DatastoreFileTooLarge BackingChanged NoTransport
     └─ any other:     HypervisorFault
    """

    retryable: ClassVar[bool] = False


class HostNotAllowed(HypervisorError, Invalid):
    code = "host_not_allowed"
    en = "{host} is not an address that this service may connect to. Use the host's public or site address."
    fr = "{host} n'est pas une adresse à laquelle ce service peut se connecter. Utilisez l'adresse publique ou du site."


class HostUnreachable(HypervisorError, Unavailable):
    code = "host_unreachable"
    en = "{host} cannot be reached ({reason}). Check the name, the port and the firewall."
    fr = "{host} est injoignable ({reason}). Vérifiez le nom, le port et le pare-feu."
    retryable = True


class CertificateChanged(HypervisorError, Conflict):
    """``expected`` and ``seen`` are SHA-256 thumbprints; nothing was sent to the host, the password least of all."""

    code = "certificate_changed"
    en = "The certificate of {host} changed from {expected} to {seen}. If you replaced it, accept the new thumbprint."
    fr = "Le certificat de {host} est passé de {expected} à {seen}. Si c'est vous, acceptez la nouvelle empreinte."


class CertificateUntrusted(HypervisorError, Conflict):
    code = "certificate_untrusted"
    en = "No safe TLS connection with {host} is possible: {reason}. Give it a certificate of RSA 2048 or better."
    fr = "Aucune connexion TLS sûre avec {host} : {reason}. Donnez-lui un certificat RSA 2048 ou mieux."


class HypervisorLoginRefused(HypervisorError, Invalid):
    code = "hypervisor_login_refused"
    en = "{host} refused the user name or password. Enter them again."
    fr = "{host} a refusé l'utilisateur ou le mot de passe. Saisissez-les à nouveau."


class HypervisorTimeout(HypervisorError, Unavailable):
    """The host may or may not have acted: look before repeating anything that changes it."""

    code = "hypervisor_timeout"
    en = "{host} did not answer {operation} in {seconds} s."
    fr = "{host} n'a pas répondu à {operation} en {seconds} s."
    retryable = True


class HypervisorAnswerRefused(HypervisorError, Unavailable):
    code = "hypervisor_answer_refused"
    en = "{host} sent an answer that is not safe to read: {reason}. Check that it is a vSphere host."
    fr = "{host} a envoyé une réponse qu'il n'est pas sûr de lire : {reason}. Vérifiez que c'est un hôte vSphere."


class PrivilegeMissing(HypervisorError, Conflict):
    """``privilege`` is vSphere's id, such as VirtualMachine.State.CreateSnapshot."""

    code = "privilege_missing"
    en = "The account lacks the privilege {privilege}. Grant it on the host, then try again."
    fr = "Il manque au compte le privilège {privilege}. Accordez-le sur l'hôte puis réessayez."


class LicenceRestricted(HypervisorError, Conflict):
    code = "licence_restricted"
    en = "The licence of {host} forbids this (RestrictedVersion). Only powered-off virtual machines can be read."
    fr = "La licence de {host} l'interdit (RestrictedVersion). Seules les machines éteintes peuvent être lues."


class VmNotFound(HypervisorError, NotFound):
    code = "vm_not_found"
    en = "The host no longer has the virtual machine {moid}. Synchronise the server."
    fr = "L'hôte n'a plus la machine virtuelle {moid}. Synchronisez le serveur."


class SnapshotNotFound(HypervisorError, NotFound):
    code = "snapshot_not_found"
    en = "The host no longer has the snapshot {moref}."
    fr = "L'hôte n'a plus l'instantané {moref}."


class HypervisorBusy(HypervisorError, Unavailable):
    code = "hypervisor_busy"
    en = "Another task is running on the virtual machine. It is tried again."
    fr = "Une autre tâche est en cours sur la machine virtuelle. Nouvel essai prévu."
    retryable = True


class HypervisorStateConflict(HypervisorError, Conflict):
    """``fault`` is vSphere's class: InvalidPowerState, InvalidState, ToolsUnavailable, …"""

    code = "hypervisor_state_conflict"
    en = "The host refuses this in the present state of the object ({fault}): {message}"
    fr = "L'hôte refuse cela dans l'état actuel de l'objet ({fault}) : {message}"


class QuiesceFailed(HypervisorError, Conflict):
    code = "quiesce_failed"
    en = "The guest could not be quiesced: {message}. Repair VMware Tools, or allow crash-consistent backups."
    fr = "Le système invité n'a pu être figé : {message}. Réparez VMware Tools ou permettez les sauvegardes brutes."


class DatastoreFull(HypervisorError, Conflict):
    code = "datastore_full"
    en = "The datastore {datastore} has no space left. Free some, then try again."
    fr = "Le datastore {datastore} est plein. Libérez de l'espace puis réessayez."


class PlacementNotFound(HypervisorError, Invalid):
    """``what`` is datastore | network | folder | resource pool; a mapping is asked for, never guessed."""

    code = "placement_not_found"
    en = "The target host has no {what} named {name}. Say which one to use instead."
    fr = "L'hôte cible n'a pas de {what} nommé {name}. Indiquez lequel utiliser à la place."


class ChangeTrackingUnsupported(HypervisorError, Conflict):
    code = "change_tracking_unsupported"
    en = "The virtual machine {moid} does not support change tracking; each backup reads it whole."
    fr = "La machine {moid} ne permet pas le suivi des blocs ; chaque sauvegarde la lit en entier."


class ChangeTrackingUnusable(HypervisorError, Conflict):
    """One disk's answer cannot be trusted; ``reason`` is stored with its full read."""

    code = "change_tracking_unusable"
    en = "The host's list of changed areas cannot be used: {reason}"
    fr = "La liste des zones modifiées de l'hôte est inutilisable : {reason}"


class LeaseFailed(HypervisorError, Unavailable):
    code = "lease_failed"
    en = "The host ended the transfer: {reason}"
    fr = "L'hôte a mis fin au transfert : {reason}"
    retryable = True


class DiskStreamDamaged(HypervisorError, Unavailable):
    """Nothing of the disk may be used as the disk's content; what is stored is only spared work for the next try."""

    code = "disk_stream_damaged"
    en = "The host's disk stream is damaged at byte {position}: {reason}"
    fr = "Le flux de disque de l'hôte est endommagé à l'octet {position} : {reason}"
    retryable = True


class LeaseDiskUnidentified(HypervisorError, Conflict):
    code = "lease_disk_unidentified"
    en = "The host offers a disk stream ({device}) that cannot be told apart. Nothing was read or written."
    fr = "L'hôte propose un flux de disque ({device}) impossible à identifier. Rien n'a été lu ni écrit."


class RangeRefused(HypervisorError, Conflict):
    code = "range_refused"
    en = "The host did not answer with the range that was asked for: {reason}"
    fr = "L'hôte n'a pas répondu par la plage demandée : {reason}"


class DatastoreFileLocked(HypervisorError, Conflict):
    code = "datastore_file_locked"
    en = "The host holds {file} locked and does not serve it."
    fr = "L'hôte tient {file} verrouillé et ne le sert pas."


class DatastoreFileMissing(HypervisorError, NotFound):
    code = "datastore_file_missing"
    en = "The datastore has no file {file}."
    fr = "Le datastore n'a pas de fichier {file}."


class DatastoreFileTooLarge(HypervisorError, Conflict):
    code = "datastore_file_too_large"
    en = "{file} is larger than the {limit} bytes that are expected of it."
    fr = "{file} dépasse les {limit} octets attendus."


class BackingChanged(HypervisorError, Conflict):
    """The disk is thrown away and read again: what was read may mix two states."""

    code = "backing_changed"
    en = "The virtual machine's {what} changed while its disk was read; the disk is read again."
    fr = "L'élément {what} de la machine a changé pendant la lecture du disque ; il sera relu."
    retryable = True


class NoTransport(HypervisorError, Conflict):
    """``reasons`` says of each transport why it cannot read this disk now."""

    code = "no_transport"
    en = "No way to read the disk {disk}: {reasons}"
    fr = "Aucun moyen de lire le disque {disk} : {reasons}"


class HypervisorFault(HypervisorError, Unavailable):
    """A fault without a class of its own; ``fault`` is vSphere's name of it."""

    code = "hypervisor_fault"
    en = "The host failed with {fault}: {message}"
    fr = "L'hôte a échoué avec {fault} : {message}"
    retryable = True
