"""How often something may be tried: guesses at passwords and codes, and mails that somebody else asks for.

An account is never closed. Guesses are counted where they come from: an address from which its holder has signed in
before has a count of its own, so that strangers who use up an account's guesses do not lock its holder out.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

WINDOW = timedelta(minutes=15)
MAIL_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` tries of a kind within a window, for each subject."""

    kind: str
    most: int
    window: timedelta


@dataclass(frozen=True, slots=True)
class Count:
    """Tries that were counted for one subject since the window began."""

    tries: int
    began_at: datetime

    def wait(self, limit: Limit, now: datetime) -> timedelta | None:
        """How long to wait before the next try; None where this one was allowed."""
        if self.tries <= limit.most:
            return None
        return max(timedelta(seconds=1), self.began_at + limit.window - now)


def subject(*parts: str) -> bytes:
    """What is counted under: a hash, for the address that somebody typed is nobody's business."""
    return hashlib.sha256("\0".join(parts).encode()).digest()


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that settings choose.

    Attributes:
        account: wrong passwords for one account.
        address: wrong passwords from one address, whatever the account.
        code: wrong one-time codes for one account.
        mail: mails to one account that somebody asked for without signing in.
        mail_address: such wishes from one address.
        domain: look-ups of the records of one organization's domains.
    """

    account: Limit
    address: Limit
    code: Limit
    mail: Limit
    mail_address: Limit
    domain: Limit
