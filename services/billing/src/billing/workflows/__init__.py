"""What takes several transactions with a provider's call between them; edges call these, these call use cases."""
