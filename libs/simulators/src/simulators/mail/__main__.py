"""`python -m simulators.mail`: the mail sink as a program."""

from typing import Any

from simulators import server
from simulators.mail.sink import MailConfig, start


def main() -> None:
    """Parse the command line and run until told to stop."""
    parser = server.arguments("Mail sink: SMTP in, GET /messages?to= out.")
    parser.add_argument("--smtp-port", type=int, default=0, help="SMTP port; 0 takes a free one (default)")
    options = parser.parse_args()

    async def begin() -> tuple[server.Running, dict[str, Any]]:
        running = await start(MailConfig(options.host, options.port, options.smtp_port))
        return running.http, {"url": running.url, "smtp_host": running.smtp_host, "smtp_port": running.smtp_port}

    server.run(begin, options.announce)


if __name__ == "__main__":
    main()
