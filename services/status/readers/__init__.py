"""Who is told: readers by mail and webhooks, once each."""
