"""Traces: which record follows from which, by ids that are derived and so the same whoever says it again."""
