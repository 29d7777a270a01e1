"""How a scheduler is spoken to: pure text and values."""
