"""The shared core: it decides who may be written to, when and how often, and keeps the outbox."""
