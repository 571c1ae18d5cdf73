"""The channels that come with the host; each folder is one channel."""
