"""What is bundled: encoders, with the scripts that made them and their numbers, and a run."""
