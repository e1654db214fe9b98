"""Models: a backbone, adapters on its last blocks, a decoder; every model returns ``dict[task name, logits]``."""
