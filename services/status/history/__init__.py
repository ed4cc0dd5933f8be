"""What stands on the log becomes the page as values: the fold, its figures, and reading it."""
