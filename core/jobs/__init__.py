"""Work that takes longer than a request: written down, done in bites, resumed after a crash."""
