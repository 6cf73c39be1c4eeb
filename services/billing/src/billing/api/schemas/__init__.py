"""What goes over the wire; money is a decimal string beside its currency."""
