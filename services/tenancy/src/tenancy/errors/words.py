"""What people read, in English and in French, where an answer's field has a word for programs."""

ROLES = {
    "owner": ("owner", "propriétaire"),
    "admin": ("admin", "administrateur"),
    "member": ("member", "membre"),
    "viewer": ("viewer", "lecteur"),
}

STATUSES = {
    "pending": ("being prepared", "en préparation"),
    "suspended": ("suspended", "suspendue"),
    "cancelled": ("cancelled", "résiliée"),
    "expired": ("expired", "expirée"),
}

FEATURES = {
    "has_api_access": ("access for programs (API keys, webhooks)", "l'accès pour programmes (clés d'API, webhooks)"),
}

RESOURCES = {"users": ("user(s) (open invitations count)", "utilisateur(s) (invitations ouvertes comprises)")}

WEAKNESSES = {
    "too_short": ("use 10 characters or more", "10 caractères au moins"),
    "too_long": ("use 256 characters at most", "256 caractères au plus"),
    "common": ("it is a common one; several words in a row are better", "il est trop courant ; prenez plusieurs mots"),
    "like_email": ("it is the e-mail address or its beginning", "il reprend l'adresse e-mail ou son début"),
    "breached": (
        "it is among passwords that were stolen elsewhere",
        "il figure parmi des mots de passe volés ailleurs",
    ),
}

WEBHOOK_URLS = {
    "malformed": ("it is no address", "ce n'est pas une adresse"),
    "credentials_or_fragment": ("it has credentials or a fragment", "elle contient des identifiants ou une ancre"),
    "not_https": ("it is not https", "elle n'est pas en https"),
    "not_public": ("it leads to no public host", "elle ne mène pas à un hôte public"),
    "port": ("its port is another", "son port en est un autre"),
}

SWITCHED_OFF = {
    "by_person": ("by a person", "par une personne"),
    "gone": ("its receiver answered 410", "son destinataire a répondu 410"),
    "failing": ("nothing arrived for days", "rien n'est arrivé depuis des jours"),
}
