"""Live active-speaker detection: who is speaking, from lips and audio together, in real time."""
