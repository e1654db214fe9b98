"""Videos and cameras, frame by frame, with flat memory."""
