"""From an event to a decision, to a message, to its last status."""
