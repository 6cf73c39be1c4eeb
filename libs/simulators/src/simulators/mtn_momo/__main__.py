"""`python -m simulators.mtn_momo`: the MTN MoMo simulator as a program."""

from typing import Any

from simulators import server
from simulators.mtn_momo.app import CURRENCIES, MoMoConfig, start


def main() -> None:
    """Parse the command line and run until told to stop."""
    default = MoMoConfig()
    parser = server.arguments("MTN MoMo: tokens, requests to pay, callbacks, refunds, sandbox provisioning.")
    server.add_map_argument(parser)
    parser.add_argument("--environment", choices=sorted(CURRENCIES), default=default.environment)
    parser.add_argument("--subscription-key", default=default.subscription_key)
    parser.add_argument("--api-user", default=default.api_user)
    parser.add_argument("--api-key", default=default.api_key)
    parser.add_argument("--disbursement-key", default=default.disbursement_key)
    parser.add_argument("--disbursement-user", default=default.disbursement_user)
    parser.add_argument("--disbursement-api-key", default=default.disbursement_api_key)
    parser.add_argument("--callback-host", default=default.callback_host, help="providerCallbackHost of the API user")
    parser.add_argument("--callback-method", choices=["PUT", "POST"], default=default.callback_method)
    parser.add_argument("--approval-delay", type=float, default=default.approval_delay, help="seconds")
    parser.add_argument("--ongoing-delay", type=float, default=default.ongoing_delay, help="seconds, slow numbers")
    options = vars(parser.parse_args())
    announce = options.pop("announce")
    config = MoMoConfig(url_map=server.parsed_map(options.pop("map")), **options)

    async def begin() -> tuple[server.Running, dict[str, Any]]:
        running = await start(config)
        return running, {
            "url": running.url,
            "subscription_key": config.subscription_key,
            "api_user": config.api_user,
            "api_key": config.api_key,
            "environment": config.environment,
            "currency": config.currency,
            "callback_host": config.callback_host,
        }

    server.run(begin, announce)


if __name__ == "__main__":
    main()
