"""Refusals before any use case runs."""

from common.errors import Forbidden, Unauthenticated


class InvalidInternalToken(Unauthenticated):
    code = "invalid_internal_token"
    en = "This service is reached through the gateway only."
    fr = "Ce service n'est accessible que par la passerelle."


class NoActiveOrganization(Forbidden):
    code = "no_active_organization"
    en = "No active organization. Buy a plan, accept an invitation or switch to an organization of yours."
    fr = "Aucune organisation active. Achetez un forfait, acceptez une invitation ou choisissez une organisation."


class RoleRequired(Forbidden):
    code = "role_required"
    en = "This needs one of the roles: {roles}. Ask an owner of the organization."
    fr = "Cette action demande l'un des rôles : {roles}. Adressez-vous à un propriétaire de l'organisation."


class StaffOnly(Forbidden):
    """Field `roles`: any of these roles of the platform's staff would do."""

    code = "staff_only"
    en = "This is for the platform's staff with one of the roles: {roles}."
    fr = "Cette action est réservée au personnel de la plateforme ayant l'un des rôles : {roles}."


class ReadOnlyImpersonation(Forbidden):
    code = "read_only_impersonation"
    en = "Whoever impersonates a customer only reads: no changes, no account, no payments, nothing inside backups."
    fr = "Agir au nom d'un client ne permet que de lire : ni changement, ni compte, ni paiement, ni contenu sauvegardé."
