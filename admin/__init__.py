"""Piccolo Admin and the console: a person's click as a door to the core."""
