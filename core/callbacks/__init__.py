"""Events out to the booking system: a small outbox of their own, signed and delivered."""
