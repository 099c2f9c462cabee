"""Every commit of the last weeks: what is kept, how a moment is found in it, and going back to it."""
