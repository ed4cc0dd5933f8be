"""A second, slow reading of the contract that shares no code with the product."""
