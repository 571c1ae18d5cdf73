"""The worker: the passing of time as a door to the core."""
