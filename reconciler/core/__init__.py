"""The pure heart: values and functions of values. No clock, no randomness, no I/O, no logging."""
