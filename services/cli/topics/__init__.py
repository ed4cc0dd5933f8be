"""`garant topics`: the topics of a broker, made, compared and brought to the registry."""
