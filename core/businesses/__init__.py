"""The tenants: one business is one wall."""
