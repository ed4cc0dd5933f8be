"""Copies of the log in a folder: written while everything runs, restored onto an empty broker."""
