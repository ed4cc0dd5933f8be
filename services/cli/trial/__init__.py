"""Kafka and PostgreSQL of a trial in a cluster: one node each, for nothing that must last."""
