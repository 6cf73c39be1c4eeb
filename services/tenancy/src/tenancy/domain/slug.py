"""The readable name of an organization in addresses, for any alphabet.

Uniqueness is the database's business; here are the candidates in the order in which they are tried.
"""

import unicodedata
from collections.abc import Iterator
from uuid import UUID

LONGEST = 63
"""Characters of a slug: the length of a DNS label, so that it can become one."""


def slugify(name: str) -> str:
    """Letters and digits of any script in lower case, joined by single dashes; Latin letters lose their accents.

    >>> slugify("Société Générale d'Études")
    'societe-generale-d-etudes'
    """
    kept = [_plain(char) for char in unicodedata.normalize("NFKC", name).casefold()]
    words = "".join(kept).split("-")
    return "-".join(word for word in words if word)[:LONGEST].rstrip("-") or "organisation"


def _plain(char: str) -> str:
    base = unicodedata.normalize("NFKD", char)[0]
    if base.isascii():
        return base if base.isalnum() else "-"
    return char if unicodedata.category(char)[0] in "LNM" else "-"


def candidates(name: str, tenant_id: UUID) -> Iterator[str]:
    """The plain slug, then with a short, then with the whole end of the id: the last one cannot collide."""
    plain = slugify(name)
    yield plain
    for digits in (6, 12, 32):
        yield f"{plain[: LONGEST - digits - 1].rstrip('-')}-{tenant_id.hex[-digits:]}"
