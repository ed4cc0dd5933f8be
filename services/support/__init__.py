"""Support: requests by e-mail and over HTTP, first responses, the work, and the people's data."""
