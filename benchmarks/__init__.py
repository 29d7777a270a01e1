"""Figures beside their peers, in one run: see README.md here."""
