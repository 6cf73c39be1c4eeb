"""Mail texts from a service's own templates: ``<name>.<language>.txt`` with its subject on the first line, and
``<name>.<language>.html`` beside it. HTML is escaped; texts are not.
"""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateNotFound, select_autoescape

from common.persistence.transaction import MailMessage

LANGUAGES = ("fr", "en")


class MailTemplates:
    """The mails of one service.

    Args:
        package: The service's import name; templates are in its ``templates/mails``.
    """

    def __init__(self, package: str) -> None:
        self._environment = Environment(
            loader=PackageLoader(package, "templates/mails"),
            autoescape=select_autoescape(("html",), default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(self, name: str, *, to: str, key: str, language: str, **fields: Any) -> MailMessage:
        """Return the mail ``name`` in the person's language (French when we have no text in it)."""
        spoken = language if language in LANGUAGES else "fr"
        text = self._environment.get_template(f"{name}.{spoken}.txt").render(**fields)
        subject, _, body = text.partition("\n")
        try:
            html = self._environment.get_template(f"{name}.{spoken}.html").render(**fields)
        except TemplateNotFound:
            html = None
        return MailMessage(
            to=to, subject=" ".join(subject.split()), text=body.lstrip("\n"), html=html, key=key, language=spoken
        )
