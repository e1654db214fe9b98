"""The one door to the terminal: what workflows and commands print goes through here, and text stays text."""
