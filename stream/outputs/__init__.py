"""Where a run's results go: each output is opened only when asked for, is fed alike live and fast, and closes whole."""
