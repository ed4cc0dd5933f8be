"""Mail: composed, sent exactly once, watched for and read; what the services that write and read it share."""
