"""The smallest channel: it writes to the log. Copy this folder to begin one of your own."""
