"""MTN Mobile Money, Collections product: what the provider's wire does, including what it does badly."""

from simulators.mtn_momo.app import MoMoConfig, start

__all__ = ["MoMoConfig", "start"]
