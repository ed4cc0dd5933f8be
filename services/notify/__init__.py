"""Letters: quota warnings and terms changes to customers, deadlines at risk and missed to staff."""
