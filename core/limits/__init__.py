"""Lanes: caps, turns and suspension, one lane per business and channel."""
