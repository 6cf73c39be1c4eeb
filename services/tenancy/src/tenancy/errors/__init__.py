"""Errors of tenancy.

DomainError
├── Invalid: WebhookUrlRefused · EventTypeUnknown · EntitlementUnknown · CodeMissing
│            · DomainInvalid · DeletionNotConfirmed · NetworkInvalid · ExpiryInvalid · WeakPassword · InvalidEmail
├── Unauthenticated: WrongCredentials · TotpRequired · InvalidRefreshToken · SessionEnded
├── Forbidden: FeatureNotInPlan · WrongPassword · WrongCode · SecondFactorObligatory · PasskeyRefused · SsoRefused
│              · SecondFactorDemanded · SsoDemanded · AnotherSignInNeeded
│              · SecondFactorUnproved · EmailNotVerified · QuotaReached
│              · RoleNotGrantable (RoleNotForKeys) · OrganizationSuspended (OrganizationHeld)
│              · InvitationForAnotherAddress
├── NotFound: WebhookEndpointNotFound · WebhookDeliveryNotFound
│             · MemberNotFound · InvitationNotFound · ApiKeyNotFound · SsoNotConfigured · DomainNotFound
│             · PasskeyNotFound · ImpersonationNotFound · OrganizationNotFound · SessionNotFound · TokenNotFound
│             · StaffNotFound
├── Conflict: TooManyWebhookEndpoints · WebhookEndpointOff
│             · LastOwner · OrganizationNotHeld · TooManyApiKeys · OrganizationNotActive · AlreadyMember
│             · OrganizationOfAnotherOrder · OrderOfAnotherOrganization
│             · EmailTaken · SecondFactorMissing · SecondFactorExists · PasskeyExists
│             · DomainNotProved · DomainOfAnother · SsoNotReady
│             · TooManyPasskeys · TooManyDomains
├── Gone: TokenExpired · ImpersonationEnded
├── TooMany: TooManyTries · InvitationJustSent · TooManyInvitations · TooManyWebhookTests
├── Unavailable: PasswordsBusy · ProviderUnavailable
└── NotYet: BuyerNotYetKnown · OrganizationNotYetKnown
"""

from typing import ClassVar

from common.errors import Conflict, Forbidden, Gone, Invalid, NotFound, NotYet, TooMany, Unauthenticated, Unavailable

from tenancy.errors import words as said


class WeakPassword(Invalid):
    """Field `reason`: too_short, too_long, common, like_email or breached."""

    code = "weak_password"
    en = "The password is too weak: {reason}."
    fr = "Mot de passe trop faible : {reason}."
    words: ClassVar = {"reason": said.WEAKNESSES}


class InvalidEmail(Invalid):
    code = "invalid_email"
    en = "This is not an e-mail address."
    fr = "Ceci n'est pas une adresse e-mail."


class WrongCredentials(Unauthenticated):
    """Also for unknown addresses, disabled accounts and wrong one-time codes: the answer tells nobody which."""

    code = "wrong_credentials"
    en = "The e-mail address, the password or the one-time code is wrong."
    fr = "L'adresse e-mail, le mot de passe ou le code à usage unique est incorrect."


class TotpRequired(Unauthenticated):
    """Only after the right password, so it reveals nothing to somebody without it. Field `challenge`: the second step
    sends it with the code, in the place of the password, within five minutes.
    """

    code = "totp_required"
    en = "This account needs a code: send totp_code or recovery_code, here or with challenge to second-factor/."
    fr = "Ce compte exige un code : envoyez totp_code ou recovery_code, ici ou avec challenge à second-factor/."


class InvalidRefreshToken(Unauthenticated):
    code = "invalid_refresh_token"
    en = "The refresh token is not valid any more; sign in again."
    fr = "Le jeton de renouvellement n'est plus valable ; reconnectez-vous."


class WrongPassword(Forbidden):
    """Of somebody who is signed in and was asked again; 401 would end their session in their client."""

    code = "wrong_password"
    en = "This is not your password."
    fr = "Ce n'est pas votre mot de passe."


class CodeMissing(Invalid):
    """Nothing was tried: no guess is counted."""

    code = "code_missing"
    en = "Send totp_code (six digits of your authenticator application) or recovery_code."
    fr = "Envoyez totp_code (six chiffres de votre application d'authentification) ou recovery_code."


class WrongCode(Forbidden):
    """Of somebody who is signed in."""

    code = "wrong_code"
    en = "The one-time code is wrong, or it was used already: wait for the next one."
    fr = "Le code à usage unique est incorrect ou a déjà servi : attendez le suivant."


class PasskeyRefused(Forbidden):
    """Another challenge, page, domain or key than ours, or its holder was not verified."""

    code = "passkey_refused"
    en = "This passkey cannot be used here, or it took too long: begin again."
    fr = "Cette clé d'accès ne peut pas servir ici, ou le délai est passé : recommencez."


class PasskeyNotFound(NotFound):
    code = "passkey_not_found"
    en = "There is no such passkey."
    fr = "Cette clé d'accès n'existe pas."


class PasskeyExists(Conflict):
    code = "passkey_exists"
    en = "This passkey is registered already."
    fr = "Cette clé d'accès est déjà enregistrée."


class TooManyPasskeys(Conflict):
    """Field `limit`."""

    code = "too_many_passkeys"
    en = "You have {limit} passkeys: remove one first."
    fr = "Vous avez {limit} clés d'accès : retirez-en une d'abord."


class SsoRefused(Forbidden):
    """Whatever did not fit, the answer is one: the provider's word, the state, the domain, or the account."""

    code = "sso_refused"
    en = "Single sign-on did not work. Begin again, or ask your organization's administrator."
    fr = "L'authentification unique a échoué. Recommencez, ou demandez à l'administrateur de votre organisation."


class SecondFactorDemanded(Forbidden):
    code = "second_factor_demanded"
    en = "This organization demands a second factor: set one up (POST /api/auth/totp/), then sign in with it."
    fr = "Cette organisation exige un second facteur : créez-en un (POST /api/auth/totp/) et utilisez-le."


class SsoDemanded(Forbidden):
    code = "sso_demanded"
    en = "This organization demands its single sign-on: POST /api/auth/sso/ with your address there."
    fr = "Cette organisation exige son authentification unique : POST /api/auth/sso/ avec votre adresse."


class AnotherSignInNeeded(Forbidden):
    code = "another_sign_in_needed"
    en = "You came through the single sign-on of another organization; sign in with your password to enter this one."
    fr = "Vous êtes entré par l'authentification unique d'une autre organisation ; connectez-vous par mot de passe."


class SsoNotConfigured(NotFound):
    code = "sso_not_configured"
    en = "There is no single sign-on for this address; sign in with your password."
    fr = "Il n'y a pas d'authentification unique pour cette adresse ; connectez-vous avec votre mot de passe."


class DomainNotFound(NotFound):
    code = "domain_not_found"
    en = "There is no such domain."
    fr = "Ce domaine n'existe pas."


class DomainInvalid(Invalid):
    code = "domain_invalid"
    en = "This is not a domain."
    fr = "Ceci n'est pas un domaine."


class TooManyDomains(Conflict):
    """Field `limit`."""

    code = "too_many_domains"
    en = "There are {limit} domains already: remove one first."
    fr = "Il y a déjà {limit} domaines : retirez-en un d'abord."


class DomainNotProved(Conflict):
    """Fields `name` and `value`: the TXT record that was not found."""

    code = "domain_not_proved"
    en = "The TXT record {name} with the text «{value}» was not found. It may take a while to be seen everywhere."
    fr = "L'enregistrement TXT {name} avec le texte « {value} » est introuvable. Sa diffusion peut prendre du temps."


class DomainOfAnother(Conflict):
    code = "domain_of_another"
    en = "Another organization has proved that this domain is its own."
    fr = "Une autre organisation a prouvé que ce domaine est le sien."


class SsoNotReady(Conflict):
    code = "sso_not_ready"
    en = "Name a provider and prove a domain before single sign-on is demanded."
    fr = "Indiquez un fournisseur et prouvez un domaine avant d'exiger l'authentification unique."


class SecondFactorMissing(Conflict):
    code = "second_factor_missing"
    en = "This account has no second factor, or it was not begun: POST /api/auth/totp/ begins one."
    fr = "Ce compte n'a pas de second facteur, ou il n'est pas commencé : POST /api/auth/totp/ en commence un."


class SecondFactorExists(Conflict):
    code = "second_factor_exists"
    en = "This account has a second factor already; switch it off first."
    fr = "Ce compte a déjà un second facteur ; désactivez-le d'abord."


class SecondFactorObligatory(Forbidden):
    code = "second_factor_obligatory"
    en = "Your account may not be without a second factor."
    fr = "Votre compte ne peut pas se passer d'un second facteur."


class SessionEnded(Unauthenticated):
    code = "session_ended"
    en = "This session has ended; sign in again."
    fr = "Cette session est terminée ; reconnectez-vous."


class RoleNotGrantable(Forbidden):
    code = "role_not_grantable"
    en = "Your role does not allow you to give or to take away the role of {role}. Ask an owner of the organization."
    fr = "Votre rôle ne permet ni de donner ni de retirer le rôle de {role}. Adressez-vous à un propriétaire."
    words: ClassVar = {"role": said.ROLES}


class RoleNotForKeys(RoleNotGrantable):
    """Whoever makes the key: what only owners may do, no program may."""

    en = "No API key has the role of {role}. The roles of keys are admin, member and viewer."
    fr = "Aucune clé d'API n'a le rôle de {role}. Les rôles des clés sont admin, member et viewer."


class EmailNotVerified(Forbidden):
    code = "email_not_verified"
    en = "Confirm your e-mail address first: the link is in the mail that you received."
    fr = "Confirmez d'abord votre adresse e-mail : le lien est dans le message que vous avez reçu."


class QuotaReached(Forbidden):
    """Fields: `resource`, `limit`, `current`."""

    code = "quota_reached"
    en = "Limit of {limit} {resource} reached. Please upgrade your plan."
    fr = "Limite de {limit} {resource} atteinte. Veuillez mettre à niveau votre plan."
    words: ClassVar = {"resource": said.RESOURCES}


class OrganizationSuspended(Forbidden):
    code = "organization_suspended"
    en = "This organization is {status}: renew its subscription (POST /api/tenants/orders/) to change anything."
    fr = "Cette organisation est {status} : renouvelez son abonnement (POST /api/tenants/orders/) pour la modifier."
    words: ClassVar = {"status": said.STATUSES}


class OrganizationHeld(OrganizationSuspended):
    """By the platform's staff: to tell its owner to pay would take his money for nothing."""

    en = "Our team holds this organization ({status}); no payment changes that. Its audit log says why; write to us."
    fr = "Notre équipe retient cette organisation ({status}) ; aucun paiement n'y change rien. Motif : journal d'audit."


class InvitationForAnotherAddress(Forbidden):
    code = "invitation_for_another_address"
    en = "This invitation was sent to another e-mail address; sign in with that one."
    fr = "Cette invitation a été envoyée à une autre adresse e-mail ; connectez-vous avec celle-ci."


class OrganizationNotFound(NotFound):
    code = "organization_not_found"
    en = "There is no such organization. Yours are at /api/tenants/organizations/."
    fr = "Cette organisation n'existe pas. Les vôtres : /api/tenants/organizations/."


class StaffNotFound(NotFound):
    code = "staff_not_found"
    en = "Nobody of the platform's staff has that address."
    fr = "Personne de l'équipe de la plateforme n'a cette adresse."


class SessionNotFound(NotFound):
    code = "session_not_found"
    en = "There is no such session."
    fr = "Cette session n'existe pas."


class TokenNotFound(NotFound):
    """For links that never existed, were used or belong to somebody else."""

    code = "token_not_found"
    en = "This link is not valid, or it was used already."
    fr = "Ce lien n'est pas valable ou a déjà été utilisé."


class TokenExpired(Gone):
    code = "token_expired"
    en = "This link has expired; ask for a new one."
    fr = "Ce lien a expiré ; demandez-en un nouveau."


class FeatureNotInPlan(Forbidden):
    """Field `feature`, by its name in plans."""

    code = "feature_not_in_plan"
    en = "Your plan does not include {feature}. The plans at /api/tenants/plans/ say which one does."
    fr = "Votre plan ne comprend pas {feature}. Les plans de /api/tenants/plans/ disent lequel."
    words: ClassVar = {"feature": said.FEATURES}


class EntitlementUnknown(Invalid):
    """Fields `names`: what no plan of the organization has; `known`: what it has."""

    code = "entitlement_unknown"
    en = "There is no {names}. What can be changed: {known}."
    fr = "{names} n'existe pas. Ce qui peut être changé : {known}."


class DeletionNotConfirmed(Invalid):
    """Field `slug`: what has to be sent as `confirmation`."""

    code = "deletion_not_confirmed"
    en = "To have the organization deleted, send its slug as confirmation: {slug}."
    fr = "Pour faire supprimer l'organisation, envoyez son identifiant comme confirmation : {slug}."


class MemberNotFound(NotFound):
    code = "member_not_found"
    en = "There is no such member."
    fr = "Ce membre n'existe pas."


class InvitationNotFound(NotFound):
    code = "invitation_not_found"
    en = "There is no such open invitation."
    fr = "Cette invitation n'existe pas ou n'est plus ouverte."


class InvitationJustSent(TooMany):
    code = "invitation_just_sent"
    en = "This invitation was sent a moment ago; wait before you send it again."
    fr = "Cette invitation vient d'être envoyée ; attendez avant de la renvoyer."


class TooManyInvitations(TooMany):
    """To one address, or of one organization to all."""

    code = "too_many_invitations"
    en = "Too many invitations were sent within an hour. Retry-After says when the next may go."
    fr = "Trop d'invitations ont été envoyées en une heure. Retry-After dit quand la prochaine peut partir."


class OrganizationNotHeld(Conflict):
    code = "organization_not_held"
    en = "Nobody of the staff holds this organization; a payment makes it active again."
    fr = "Personne de l'équipe ne retient cette organisation ; un paiement la réactive."


class LastOwner(Conflict):
    code = "last_owner"
    en = "An organization has at least one owner: make somebody else owner first."
    fr = "Une organisation a au moins un propriétaire : nommez-en d'abord un autre."


class ApiKeyNotFound(NotFound):
    code = "api_key_not_found"
    en = "There is no such API key."
    fr = "Cette clé d'API n'existe pas."


class NetworkInvalid(Invalid):
    code = "network_invalid"
    en = "Allowed networks are IP addresses or networks such as 192.0.2.0/24."
    fr = "Les réseaux autorisés sont des adresses IP ou des réseaux tels que 192.0.2.0/24."


class ExpiryInvalid(Invalid):
    code = "expiry_invalid"
    en = "A key expires in the future, within 366 days."
    fr = "Une clé expire dans le futur, sous 366 jours."


class TooManyApiKeys(Conflict):
    code = "too_many_api_keys"
    en = "There are {limit} usable API keys already: revoke one first."
    fr = "Il y a déjà {limit} clés d'API utilisables : révoquez-en une d'abord."


class WebhookUrlRefused(Invalid):
    """Field `reason`: malformed, credentials_or_fragment, not_https, not_public or port; `ports`: those that may be."""

    code = "webhook_url_refused"
    en = "Webhooks go to https addresses on the internet (ports {ports}), without credentials or fragment: {reason}."
    fr = "Les webhooks vont à des adresses https sur Internet (ports {ports}), sans identifiants ni ancre : {reason}."
    words: ClassVar = {"reason": said.WEBHOOK_URLS}


class EventTypeUnknown(Invalid):
    code = "event_type_unknown"
    en = "Name types of GET /api/tenants/webhook-event-types/, all of a noun as «backup.*», or all as «*»."
    fr = "Indiquez des types de GET /api/tenants/webhook-event-types/, ceux d'un nom (« backup.* ») ou tous (« * »)."


class WebhookEndpointNotFound(NotFound):
    code = "webhook_endpoint_not_found"
    en = "There is no such webhook endpoint."
    fr = "Ce point de réception de webhooks n'existe pas."


class WebhookDeliveryNotFound(NotFound):
    code = "webhook_delivery_not_found"
    en = "There is no such delivery; they are kept for 30 days."
    fr = "Cet envoi n'existe pas ; les envois sont conservés 30 jours."


class TooManyWebhookTests(TooMany):
    """Field `limit`."""

    code = "too_many_webhook_tests"
    en = "There have been {limit} test messages to this endpoint within an hour. Retry-After says when the next may go."
    fr = "Il y a eu {limit} messages d'essai vers ce point en une heure. Retry-After dit quand le prochain peut partir."


class TooManyWebhookEndpoints(Conflict):
    """Field `limit`."""

    code = "too_many_webhook_endpoints"
    en = "There are {limit} webhook endpoints already: delete one first."
    fr = "Il y a déjà {limit} points de réception de webhooks : supprimez-en un d'abord."


class WebhookEndpointOff(Conflict):
    """Field `off_for`: by_person, gone or failing."""

    code = "webhook_endpoint_off"
    en = "This endpoint is switched off ({off_for}); switch it on first (PATCH with enabled: true)."
    fr = "Ce point de réception est désactivé ({off_for}) ; réactivez-le d'abord (PATCH avec enabled : true)."
    words: ClassVar = {"off_for": said.SWITCHED_OFF}


class OrganizationNotActive(Conflict):
    code = "organization_not_active"
    en = "This organization is yours, but another one is active: switch to it (POST /api/auth/switch/)."
    fr = "Cette organisation est la vôtre, mais une autre est active : changez d'organisation (POST /api/auth/switch/)."


class AlreadyMember(Conflict):
    code = "already_member"
    en = "This person is already a member."
    fr = "Cette personne est déjà membre."


class EmailTaken(Conflict):
    """Only operators see it (`create_staff`); registering never tells."""

    code = "email_taken"
    en = "There is already an account with this address."
    fr = "Il existe déjà un compte avec cette adresse."


class OrganizationOfAnotherOrder(Conflict):
    """A second order wants to create an organization that exists: parked, a person must look."""

    code = "organization_of_another_order"
    en = "Organization {organization_id} was created by order {known_order_id}, not by {order_id}."
    fr = "L'organisation {organization_id} a été créée par la commande {known_order_id}, pas par {order_id}."


class OrderOfAnotherOrganization(Conflict):
    """An order that created one organization wants to create another: parked, a person must look."""

    code = "order_of_another_organization"
    en = "Order {order_id} already created another organization than {organization_id}."
    fr = "La commande {order_id} a déjà créé une autre organisation que {organization_id}."


class BuyerNotYetKnown(NotYet):
    code = "buyer_not_yet_known"


class OrganizationNotYetKnown(NotYet):
    code = "organization_not_yet_known"


class TooManyTries(TooMany):
    """Nobody is locked out for good: the answer says when to come again."""

    code = "too_many_tries"
    en = "There have been too many tries. Come back in a while; the time is in Retry-After."
    fr = "Il y a eu trop d'essais. Revenez plus tard ; le délai est dans Retry-After."


class PasswordsBusy(Unavailable):
    code = "busy"
    en = "Too many people sign in at this moment. Try again in a few seconds."
    fr = "Trop de personnes se connectent en ce moment. Réessayez dans quelques secondes."


class ProviderUnavailable(Unavailable):
    """Field `issuer`."""

    code = "identity_provider_unavailable"
    en = "The identity provider does not answer as it should. Try again in a while."
    fr = "Le fournisseur d'identité ne répond pas comme il le devrait. Réessayez plus tard."


class SecondFactorUnproved(Forbidden):
    code = "second_factor_unproved"
    en = "Prove your second factor first (POST /api/auth/second-factor/): without one, nobody impersonates a customer."
    fr = "Prouvez d'abord votre second facteur (POST /api/auth/second-factor/) pour agir au nom d'un client."


class ImpersonationNotFound(NotFound):
    code = "impersonation_not_found"
    en = "There is no such impersonation of yours."
    fr = "Cette action au nom d'un client n'existe pas."


class ImpersonationEnded(Gone):
    code = "impersonation_ended"
    en = "This impersonation has ended. Begin another one, with its own reason."
    fr = "Cette action au nom d'un client est terminée. Commencez-en une autre, avec son propre motif."
