"""A mail sink: takes any message by SMTP, hands it out as JSON. Delivers nothing to anybody."""

from simulators.mail.sink import MailConfig, RunningMail, start

__all__ = ["MailConfig", "RunningMail", "start"]
