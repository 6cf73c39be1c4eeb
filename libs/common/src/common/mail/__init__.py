"""Outgoing mail: rows queued with the act that causes them, sent by SMTP until the server takes them."""

from common.mail.mailer import Mailer
from common.mail.templates import MailTemplates

__all__ = ["MailTemplates", "Mailer"]
