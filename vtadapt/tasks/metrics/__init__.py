"""What meters of the kinds are made of."""
