"""The way of a request through the gateway: route, token, tenant, limits, service and back."""
