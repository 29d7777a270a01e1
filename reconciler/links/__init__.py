"""How bytes reach a source."""
