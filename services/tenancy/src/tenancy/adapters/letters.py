"""The mails of tenancy from `templates/mails/`, with the application's address for their links."""

from typing import Any

from common.mail import MailTemplates
from common.persistence import MailMessage

from tenancy.domain.people import Language


class TemplateLetters:
    """Letters in the reader's language.

    Args:
        link_base: address of the application, without a slash at the end.
    """

    def __init__(self, link_base: str) -> None:
        self._templates = MailTemplates("tenancy")
        self._link_base = link_base

    def write(self, name: str, *, to: str, key: str, language: Language, **values: Any) -> MailMessage:
        """Fill the letter `name`; a second one with the same `key` is not sent."""
        return self._templates.render(
            name, to=to, key=key, language=language.value, link_base=self._link_base, **values
        )
