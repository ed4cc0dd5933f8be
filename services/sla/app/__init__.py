"""The SLA service: the folds' input and output. Everything that is not pure is here."""
