"""What stands behind test businesses: a provider that answers by the number, a clock."""
