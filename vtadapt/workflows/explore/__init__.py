"""A page in the browser that shows what a run says of pictures."""
