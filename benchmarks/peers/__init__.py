"""The peers beside which dispatch is measured."""
