"""The demonstration: an application to break, a month to publish."""
