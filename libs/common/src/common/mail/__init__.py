"""Outgoing mail: rows queued with the act that causes them, sent by SMTP until the server takes them."""

from common.mail.mailer import Attachment, Mailer
from common.mail.templates import MailTemplates

__all__ = ["Attachment", "MailTemplates", "Mailer"]
