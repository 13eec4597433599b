"""Training stage: the SSResNeXt network, the BreaKHis reader, recipes and the loop that writes a checkpoint."""
