"""People drawn and voiced by the program itself: no camera, no file, and the truth about who speaks is known."""
