"""What takes several transactions with a call between them; edges call these, these call use cases."""
