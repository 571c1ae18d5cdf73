"""What the core knows of connections and templates; channels write it, the rules read it."""
