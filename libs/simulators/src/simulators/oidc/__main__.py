"""`python -m simulators.oidc`: the OpenID Connect provider as a program."""

from typing import Any

from simulators import server
from simulators.oidc.app import Provider, start


def main() -> None:
    """Parse the command line and run until told to stop."""
    default = Provider()
    parser = server.arguments("OpenID Connect: discovery, authorization code with PKCE, signed ID tokens.")
    parser.add_argument("--client-id", default=default.client_id)
    parser.add_argument("--client-secret", default=default.client_secret)
    parser.add_argument("--redirect-uri", required=True)
    options = vars(parser.parse_args())
    announce, host, port = options.pop("announce"), options.pop("host"), options.pop("port")
    provider = Provider(**options)

    async def begin() -> tuple[server.Running, dict[str, Any]]:
        running = await start(provider, host=host, port=port)
        return running, {"url": running.url, "client_id": provider.client_id, "client_secret": provider.client_secret}

    server.run(begin, announce)


if __name__ == "__main__":
    main()
