"""Which passwords are good enough. Hashing them is an adapter's business."""

import unicodedata
from functools import cache
from importlib.resources import files

SHORTEST = 10
"""Characters. NIST SP 800-63B asks for 8 at least and for no rules about kinds of characters."""

LONGEST = 256
"""Characters: room for any passphrase, and no megabytes to hash."""


def weakness(password: str, email: str) -> str | None:
    """Why the password is refused (`too_short`, `too_long`, `common`, `like_email`), or None when it is accepted."""
    if len(password) < SHORTEST:
        return "too_short"
    if len(password) > LONGEST:
        return "too_long"
    folded = unicodedata.normalize("NFKC", password).casefold()
    if folded in _common() or len(set(folded)) <= 2:
        return "common"
    local = email.partition("@")[0].casefold()
    return "like_email" if folded in {email.casefold(), local, local * 2} else None


@cache
def _common() -> frozenset[str]:
    text = files("tenancy").joinpath("data/common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line and not line.startswith("#"))
