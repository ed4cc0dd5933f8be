"""The AsyncAPI document of every topic."""
