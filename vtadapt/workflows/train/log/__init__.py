"""What a run records while it is trained: lines of ``metrics.jsonl``, events of TensorBoard, and a tracker's."""
