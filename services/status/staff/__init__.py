"""What staff write: incidents, by HTTP and the command line."""
