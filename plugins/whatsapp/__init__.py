"""WhatsApp: the channel that speaks to Meta's Graph API."""
