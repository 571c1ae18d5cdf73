"""The channel's migrations, in the order of their names."""
