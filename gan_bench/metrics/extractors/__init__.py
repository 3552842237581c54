"""Networks whose features and logits the scores are computed on, one file each."""
