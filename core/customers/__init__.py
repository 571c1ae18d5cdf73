"""People, their addresses, and the addresses nobody may write to."""
