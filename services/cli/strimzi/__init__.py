"""The registry and the rights as resources of Strimzi, for a Kafka on Kubernetes."""
