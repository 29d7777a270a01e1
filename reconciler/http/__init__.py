"""What the daemon shows over HTTP, on the loopback address unless told otherwise."""
