"""Our far end on a source. Standard library only, Python 3.6 and later; nothing of ours is imported here."""
