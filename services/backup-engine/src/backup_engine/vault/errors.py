"""What can be wrong with a vault, as facts.

DomainError
├── ObjectDamaged 409            one object is not what its name says
│   └── FormatUnsupported 415    … or is written in a way that this version does not know
├── ChunkDamaged 409             no generation of an object opens
├── PointConflict 409            another manifest stands under this point and token
├── PointMissing 404             no manifest of this point opens
├── CatalogueBehind 409          the store holds what the database does not know
├── VaultMissing 404             the store has no such vault
├── KeyringUnreadable 503        no keys object opens with the key at hand
├── RecoveryKeyMalformed 422     a recovery key was mistyped
└── SourceBroken 503             a disk's source broke its promise; the disk fails rather than hold wrong zeros
"""

from common.errors import Conflict, Invalid, Kind, NotFound, Unavailable


class ObjectDamaged(Conflict):
    code = "object_damaged"
    en = "The object {name} is damaged: {reason}."
    fr = "L'objet {name} est endommagé : {reason}."


class FormatUnsupported(ObjectDamaged):
    kind = Kind.UNSUPPORTED
    code = "format_unsupported"
    en = "The object {name} needs a newer version of this program: {reason}."
    fr = "L'objet {name} demande une version plus récente de ce programme : {reason}."


class ChunkDamaged(Conflict):
    code = "chunk_damaged"
    en = "No copy of the object {name} can be read: {reason}."
    fr = "Aucune copie de l'objet {name} n'est lisible : {reason}."


class PointConflict(Conflict):
    code = "point_conflict"
    en = "Another restore point is already stored as {name}."
    fr = "Un autre point de restauration est déjà enregistré sous {name}."


class PointMissing(NotFound):
    code = "point_missing"
    en = "The restore point {point_id} is not in the vault."
    fr = "Le point de restauration {point_id} n'est pas dans le coffre."


class CatalogueBehind(Conflict):
    """Nothing is deleted while it holds: what the database does not know of may be somebody's newest backup."""

    code = "catalogue_behind"
    en = "The database is older than the vault {vault_id}: {reason}. An operator must look at both."
    fr = "La base est plus ancienne que le coffre {vault_id} : {reason}. Un opérateur doit examiner les deux."


class VaultMissing(NotFound):
    code = "vault_missing"
    en = "The store holds no vault {vault_id}: another folder is mounted, or none."
    fr = "Le stockage ne contient pas le coffre {vault_id} : un autre dossier est monté, ou aucun."


class KeyringUnreadable(Unavailable):
    code = "keyring_unreadable"
    en = "The keys of the vault {vault_id} cannot be opened: {reason}."
    fr = "Les clés du coffre {vault_id} ne peuvent pas être ouvertes : {reason}."


class RecoveryKeyMalformed(Invalid):
    code = "recovery_key_malformed"
    en = "This is not a recovery key; check it for typing errors."
    fr = "Ceci n'est pas une clé de récupération ; vérifiez les fautes de frappe."


class SourceBroken(Unavailable):
    code = "source_broken"
    en = "The disk could not be read to its end: {reason}."
    fr = "Le disque n'a pas pu être lu jusqu'au bout : {reason}."
