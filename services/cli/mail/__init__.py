"""A mail server on this machine for `garant up` and for tests: SMTP by aiosmtpd, IMAP by pymap."""
