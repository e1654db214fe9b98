"""What is bundled: the encoder ``swin_pico``, with the script that made it and its numbers."""
