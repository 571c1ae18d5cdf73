"""Who may do what: users, memberships, API keys, and the audit trail."""
