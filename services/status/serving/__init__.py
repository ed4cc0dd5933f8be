"""The pages as files, written on each change and served."""
