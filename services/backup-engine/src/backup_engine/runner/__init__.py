"""Takes tasks and executes them; reaches the rest of the service through the ControlPlane port alone."""
