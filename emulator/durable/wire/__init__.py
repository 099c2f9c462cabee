"""One channel's frames: the messages between gateway and host, their framing, the stream that carries them."""
