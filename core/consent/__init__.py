"""Consent: an append-only ledger and the state it leads to."""
