"""A simulator of Meta's Graph API: a program of its own that imports nothing from the host."""
