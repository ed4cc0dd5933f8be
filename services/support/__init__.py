"""Support: requests by e-mail and over HTTP, the clock of each first response, the work, the people's data."""
