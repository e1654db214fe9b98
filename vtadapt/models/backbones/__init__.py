"""Encoders: their families behind one contract, and where their weights come from."""
