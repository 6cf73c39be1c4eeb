"""PayPal: OAuth, Orders v2, captures, refunds, an approval page and signed webhooks, as strict as the real ones."""

from simulators.paypal.app import PayPalConfig, RunningPayPal, start

__all__ = ["PayPalConfig", "RunningPayPal", "start"]
