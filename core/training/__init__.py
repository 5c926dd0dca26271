"""Training of the compact SyncNet: clips to crops, augmentation, losses, the training loop, evaluation, export."""
