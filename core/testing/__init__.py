"""The published test kit for channel authors."""
