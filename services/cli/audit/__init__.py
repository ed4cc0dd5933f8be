"""Replaying history and explaining a credit."""
