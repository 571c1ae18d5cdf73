"""Things a person should act on."""
