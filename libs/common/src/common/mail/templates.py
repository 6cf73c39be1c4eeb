"""Mail texts from a service's own templates: ``<name>.<language>.txt`` with its subject on the first line, and
``<name>.<language>.html`` beside it; both exist for each mail. HTML is escaped; in texts a value stays on one line.
"""

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from common.persistence.transaction import MailMessage

LANGUAGES = ("fr", "en")

_UNWANTED = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that make text read in another order than it is written."""


def _one_line(value: Any) -> Any:
    """Keep what somebody else wrote from adding lines of its own: a forged line in a mail reads like ours."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return " ".join(_UNWANTED.sub("", value).splitlines())


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
            finalize=_one_line,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def render(
        self, name: str, *, to: str, key: str, language: str, attachment: str | None = None, **fields: Any
    ) -> MailMessage:
        """Return the mail ``name`` in the person's language (French when we have no text in it).

        Raises:
            jinja2.TemplateNotFound: One of its halves is missing in that language.
            jinja2.UndefinedError: A template names a field that is not given.
        """
        spoken = language if language in LANGUAGES else "fr"
        text = self._environment.get_template(f"{name}.{spoken}.txt").render(**fields)
        subject, _, body = text.partition("\n")
        return MailMessage(
            to=to,
            subject=" ".join(subject.split()),
            text=body.strip("\n") + "\n",
            html=self._environment.get_template(f"{name}.{spoken}.html").render(**fields),
            key=key,
            language=spoken,
            attachment=attachment,
        )
