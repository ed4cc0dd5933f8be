"""`garant preflight`: what a start would stumble on, found out before anything is started."""
