"""How it runs live: clocks, rings, capture, threads, overlay, outputs, server. Imports ``core``, never the reverse."""
