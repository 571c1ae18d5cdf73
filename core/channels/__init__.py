"""The contract: all that a channel plugin may import from the host."""
