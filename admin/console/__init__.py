"""Our own pages beside Piccolo Admin: what a table editor cannot show."""
