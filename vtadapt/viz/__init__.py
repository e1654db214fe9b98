"""Pictures of what went in and what came out: arrays and captions in, RGB pictures out."""
