"""One module a family of encoders: what of timm's network is run, and where its stages end."""
