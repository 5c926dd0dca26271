"""Training of the compact SyncNet: clips, crops, augmentation, losses, training loop, evaluation, export."""
