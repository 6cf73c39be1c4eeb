"""Sends queued mails over SMTP. A crash between sending and marking sends one twice; a mail is never lost."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from uuid import UUID

import aiosmtplib
from sqlalchemy import and_, func, or_, select, update

from common.crash_points import reach
from common.persistence.database import Database
from common.persistence.mechanisms import mails
from common.persistence.scope import Scope
from common.settings import MailSettings
from common.telemetry.metrics import MAILS_SENT

log = logging.getLogger(__name__)

CLAIM = timedelta(minutes=1)
"""How long the mail in hand is left to its sender: twice what sending may take, or another sends it too."""

SMTP_SECONDS = 30.0
"""How long one mail may take: making what goes along with it, and all that the mail server answers."""

LONGEST_PAUSE = timedelta(hours=1)

GIVE_UP = timedelta(days=5)
"""How long a mail is tried (RFC 5321 §4.5.4.1: four or five days), a refusal for good too: it may be our own settings'
mistake. After that it is not due any more; an operator who sets its time has it tried again.
"""

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When a mail is due that was given up. PostgreSQL's ``infinity`` is no time that Python could compare."""

AT_ONCE = 1000
"""Texts that one transaction forgets: a table that never was swept is, without holding anybody up."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along with a mail."""

    name: str
    media_type: str
    content: bytes


Attach = Callable[[UUID | None, str], Awaitable[Attachment]]
"""Makes the document that a mail of a tenant names; where it fails or takes too long, the mail is tried again."""


class Mailer:
    """Part of every worker that sends mail.

    Args:
        database: The service's database; uses its mailer role.
        settings: The mail server.
        attach: Makes the documents that mails name; without it, such mails stay queued.
    """

    name = "mailer"

    def __init__(self, database: Database, settings: MailSettings, attach: Attach | None = None) -> None:
        self._database = database
        self._attach = attach
        self._settings = settings
        self._scope = Scope(role="mailer")

    async def run(self, stop: asyncio.Event, ready: Callable[[], None]) -> None:
        """Send until ``stop``; the mail in hand is finished first."""
        ready()
        while not stop.is_set():
            try:
                sent = await self.send_one()
            except Exception:
                log.exception("mail queue not reachable")
                sent = False
            if not sent:
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await stop.wait()

    async def send_one(self) -> bool:
        """Send the mail that has been due for longest; return whether there was one."""
        row = await self._claim()
        if row is None:
            return False
        reach("common.mail.claimed")
        error = await self._refusal(row)
        reach("common.mail.sent")
        await self._settle(row, error)
        reach("common.mail.marked")
        return True

    async def forget_texts(self) -> int:
        """Timer of each worker: empty mails that were sent, or given up, long ago; return how many.

        The row stays: it is the log, and by its key the same mail is not queued again.
        """
        forgotten = 0
        while True:
            async with self._database.session("mailer", self._scope) as session:
                old = func.clock_timestamp() - timedelta(days=self._settings.email_kept_days)
                given_up = and_(mails.c.sent_at.is_(None), mails.c.next_attempt_at == NEVER, mails.c.created_at < old)
                over = select(mails.c.id).where(or_(mails.c.sent_at < old, given_up), mails.c.body_text != "")
                emptied = update(mails).where(mails.c.id.in_(over.limit(AT_ONCE))).values(body_text="", body_html=None)
                count: int = (await session.execute(emptied)).rowcount  # type: ignore[attr-defined]
            forgotten += count
            if count < AT_ONCE:
                return forgotten

    async def _refusal(self, row: Any) -> str | None:
        """Send one mail; return why the server has not taken it, ``None`` where it has."""
        try:
            async with asyncio.timeout(SMTP_SECONDS):
                await aiosmtplib.send(
                    await self._compose(row),
                    hostname=self._settings.email_host,
                    port=self._settings.email_port,
                    username=self._settings.email_host_user or None,
                    password=self._settings.email_host_password.get_secret_value() or None,
                    start_tls=self._settings.email_use_tls,
                    timeout=SMTP_SECONDS,
                )
        except Exception as error:  # noqa: BLE001 - one mail that cannot be written must not hold up the others
            return f"{type(error).__name__}: {error}"
        return None

    async def _compose(self, row: Any) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._settings.email_from
        message["To"] = row.recipient
        message["Subject"] = row.subject
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{row.id}@mail.backup.example>"
        message["Content-Language"] = row.language
        message.set_content(row.body_text)
        if row.body_html:
            message.add_alternative(row.body_html, subtype="html")
        if row.attachment:
            if self._attach is None:
                raise LookupError(f"nothing here makes {row.attachment}")
            file = await self._attach(row.tenant_id, row.attachment)
            maintype, _, subtype = file.media_type.partition("/")
            message.add_attachment(file.content, maintype=maintype, subtype=subtype, filename=file.name)
        return message

    async def _claim(self) -> Any | None:
        """Take one mail: those behind it must not become due again while it is being sent."""
        async with self._database.session("mailer", self._scope) as session:
            due = (
                select(mails.c.id)
                .where(mails.c.sent_at.is_(None), mails.c.next_attempt_at <= func.clock_timestamp())
                .order_by(mails.c.next_attempt_at)
                .limit(1)
                .with_for_update(skip_locked=True)
            )
            claimed = (
                update(mails)
                .where(mails.c.id.in_(due.scalar_subquery()))
                .values(next_attempt_at=func.clock_timestamp() + CLAIM)
                .returning(mails)
            )
            return (await session.execute(claimed)).one_or_none()

    async def _settle(self, row: Any, error: str | None) -> None:
        identifier: UUID = row.id
        outcome = "failed" if error else "sent"
        values: dict[str, Any]
        if error is None:
            values = {"sent_at": func.clock_timestamp(), "attempts": row.attempts + 1, "last_error": None}
        else:
            pause = min(LONGEST_PAUSE, timedelta(seconds=2 ** min(row.attempts + 1, 12)))
            now: Any = func.clock_timestamp()
            values = {"attempts": row.attempts + 1, "last_error": error[:500], "next_attempt_at": now + pause}
            log.warning("mail %s not sent: %s", identifier, error)
            claimed_at = row.next_attempt_at - CLAIM
            if claimed_at > row.created_at + GIVE_UP:
                outcome, values["next_attempt_at"] = "given_up", NEVER
                log.error("mail %s is given up after %d attempts", identifier, row.attempts + 1)
        MAILS_SENT.labels(self._database.prefix, outcome).inc()
        async with self._database.session("mailer", self._scope) as session:
            await session.execute(update(mails).where(mails.c.id == identifier).values(**values))
