"""Billing: subscriptions, the append-only credit ledger, invoices (contract 4, "Next invoice")."""
