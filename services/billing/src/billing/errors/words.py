"""What people read, in English and in French, where an answer's `state` has a word for programs."""

ORDER_STATES = {
    "pending": ("waiting for its payment", "en attente de paiement"),
    "payment_pending": ("waiting for its payment", "en attente de paiement"),
    "paid": ("paid", "payée"),
    "processing": ("paid", "payée"),
    "completed": ("completed", "traitée"),
    "failed": ("failed", "en échec"),
    "cancelled": ("cancelled", "annulée"),
    "refunded": ("refunded", "remboursée"),
}

PAYMENT_STATES = {
    "pending": ("just begun", "à peine commencé"),
    "submitted": ("waiting for its check", "en attente de vérification"),
    "processing": ("under way", "en cours"),
    "unknown": ("of an unknown outcome so far", "d'issue encore inconnue"),
    "superseded": ("replaced by a later attempt", "remplacé par une tentative ultérieure"),
    "quarantined": ("held until finance has looked at it", "retenu jusqu'à son examen"),
    "completed": ("completed", "effectué"),
    "failed": ("failed", "en échec"),
    "refunded": ("refunded", "remboursé"),
}

REFUND_STATES = {
    "requested": ("waiting for approval", "en attente d'approbation"),
    "approved": ("approved", "approuvé"),
    "processing": ("under way", "en cours"),
    "unknown": ("of an unknown outcome so far", "d'issue encore inconnue"),
    "rejected": ("rejected", "refusé"),
    "failed": ("failed", "en échec"),
    "completed": ("completed", "effectué"),
}

LINE_STATES = {
    "unmatched": ("without a match", "sans correspondance"),
    "proposed": ("proposed", "proposée"),
    "approved": ("approved", "approuvée"),
    "dismissed": ("dismissed", "écartée"),
}

DISPUTE_STATES = {"open": ("open", "ouvert"), "won": ("won", "gagné"), "lost": ("lost", "perdu")}
