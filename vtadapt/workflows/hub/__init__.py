"""Runs on the Hugging Face Hub: pushed with a card that is true, pulled without running anything."""
