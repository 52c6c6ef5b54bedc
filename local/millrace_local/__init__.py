"""The local stack: an embedded AWS that runs the real template."""
