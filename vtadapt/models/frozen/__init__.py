"""What adapters must beat: other networks around the same frozen encoder."""
