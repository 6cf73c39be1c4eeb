"""`python -m simulators.paypal`: the PayPal simulator as a program."""

from typing import Any

from simulators import server
from simulators.paypal.app import PayPalConfig, start


def main() -> None:
    """Parse the command line and run until told to stop."""
    default = PayPalConfig()
    parser = server.arguments("PayPal: OAuth, Orders v2, captures, refunds, approval page, signed webhooks.")
    server.add_map_argument(parser)
    parser.add_argument("--client-id", default=default.client_id)
    parser.add_argument("--client-secret", default=default.client_secret)
    parser.add_argument("--merchant-id", default=default.merchant_id)
    parser.add_argument("--webhook-id", default=default.webhook_id)
    parser.add_argument("--webhook-url", help="https address of the listener; use --map where it is not public")
    options = vars(parser.parse_args())
    announce = options.pop("announce")
    config = PayPalConfig(url_map=server.parsed_map(options.pop("map")), **options)

    async def begin() -> tuple[server.Running, dict[str, Any]]:
        running = await start(config)
        return running.http, {
            "url": running.url,
            "client_id": config.client_id,
            "client_secret": config.client_secret,
            "merchant_id": config.merchant_id,
            "webhook_id": config.webhook_id,
            "ca_pem": running.ca_pem,
            "common_name": running.common_name,
        }

    server.run(begin, announce)


if __name__ == "__main__":
    main()
