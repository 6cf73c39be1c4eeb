"""Refusals of the gateway itself; everything else is the service's own answer.

DomainError
├── Unauthenticated: TokenMissing · TokenInvalid · SessionEnded · ApiKeyInvalid
├── Forbidden: SecondFactorRequired · AddressNotAllowed · ScopeMissing (PersonNeeded) · ApiAccessNotInPlan
├── NotFound: NoRoute
├── Conflict: DownloadChanged
├── Gone: DownloadLinkOver
├── TooLarge: BodyTooLarge · HeadersTooLarge
├── TooMany: TooManyRequests
└── Unavailable: ServiceUnavailable
"""

from datetime import timedelta

from common.errors import Conflict, Forbidden, Gone, NotFound, TooLarge, TooMany, Unauthenticated, Unavailable


class TokenMissing(Unauthenticated):
    code = "token_missing"
    en = "Sign in first (POST /api/auth/login/) and send the access token as Authorization: Bearer."
    fr = "Connectez-vous d'abord (POST /api/auth/login/) et envoyez le jeton d'accès : Authorization: Bearer."


class TokenInvalid(Unauthenticated):
    """Expired, forged, for somebody else: the answer does not say which."""

    code = "token_invalid"
    en = "The access token is not valid or has expired: refresh it (POST /api/auth/refresh/)."
    fr = "Le jeton d'accès n'est pas valable ou a expiré : renouvelez-le (POST /api/auth/refresh/)."


class SessionEnded(Unauthenticated):
    code = "session_ended"
    en = "This session has ended; sign in again."
    fr = "Cette session est terminée ; reconnectez-vous."


class SecondFactorRequired(Forbidden):
    code = "second_factor_required"
    en = "Confirm your second factor first (POST /api/auth/second-factor/). It then counts for 15 minutes."
    fr = "Confirmez d'abord votre second facteur (POST /api/auth/second-factor/). Il vaut ensuite pour 15 minutes."


class ApiKeyInvalid(Unauthenticated):
    """Unknown, revoked, expired: the answer does not say which."""

    code = "api_key_invalid"
    en = "The API key is unknown, revoked or expired. An owner or admin makes another (POST /api/tenants/api-keys/)."
    fr = "Clé d'API inconnue, révoquée ou expirée. Un propriétaire ou administrateur en crée (/api/tenants/api-keys/)."


class AddressNotAllowed(Forbidden):
    """Field `address`."""

    code = "address_not_allowed"
    en = "This API key may not be used from {address}."
    fr = "Cette clé d'API ne peut pas être utilisée depuis {address}."


class ScopeMissing(Forbidden):
    """Field `scope`: the least that would do."""

    code = "scope_missing"
    en = "This API key lacks the scope {scope}. Make one that has it (POST /api/tenants/api-keys/)."
    fr = "Cette clé d'API n'a pas la portée {scope}. Créez-en une qui l'a (POST /api/tenants/api-keys/)."


class PersonNeeded(ScopeMissing):
    """Field `scope`: empty, for no scope opens this."""

    en = "No API key may do this: sign in as a person (POST /api/auth/login/)."
    fr = "Aucune clé d'API ne le peut : connectez-vous en personne (POST /api/auth/login/)."


class ApiAccessNotInPlan(Forbidden):
    code = "api_access_not_in_plan"
    en = "The organization's plan has no API access now. Change the plan, or sign in as a person."
    fr = "Le forfait de l'organisation n'a pas d'accès API actuellement. Changez de forfait ou connectez-vous."


class NoRoute(NotFound):
    code = "not_found"
    en = "There is nothing here. Addresses of the API end with a slash; all of them are at /docs."
    fr = "Il n'y a rien à cette adresse. Celles de l'API finissent par une barre oblique ; toutes sont à /docs."


class DownloadChanged(Conflict):
    code = "download_changed"
    en = "What this link downloads has changed since the download began; ask for a new link and begin again."
    fr = "Le contenu a changé depuis le début du téléchargement ; demandez un nouveau lien et recommencez."


class DownloadLinkOver(Gone):
    """Forged, too old, of somebody whose session, membership or API key ended: the answer does not say which."""

    code = "download_link_over"
    en = "This download link is not valid or its time is over; ask for a new one (POST …/download-links/)."
    fr = "Ce lien de téléchargement n'est pas valable ou a expiré ; demandez-en un nouveau (POST …/download-links/)."


class BodyTooLarge(TooLarge):
    """Field `limit_bytes`."""

    code = "body_too_large"
    en = "The request's body is larger than {limit_bytes} bytes."
    fr = "Le corps de la requête dépasse {limit_bytes} octets."


class HeadersTooLarge(TooLarge):
    code = "headers_too_large"
    en = "The request's address or headers are too large."
    fr = "L'adresse ou les en-têtes de la requête sont trop volumineux."


class TooManyRequests(TooMany):
    """Field `limit`, its name."""

    code = "too_many_requests"
    en = "Too many requests; wait for as long as Retry-After says."
    fr = "Trop de requêtes ; patientez le temps indiqué par Retry-After."

    def __init__(self, headers: list[tuple[bytes, bytes]], *, limit: str, retry_after: timedelta) -> None:
        self.headers = headers
        super().__init__(retry_after=retry_after, limit=limit)


class ServiceUnavailable(Unavailable):
    """Field `service`. A request that had reached the service may have had its effect: repeat it with its
    Idempotency-Key.
    """

    code = "service_unavailable"
    en = "The service {service} does not answer just now; try again in a moment, with the same Idempotency-Key."
    fr = "Le service {service} ne répond pas ; réessayez dans un instant, avec la même Idempotency-Key."
