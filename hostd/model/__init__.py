"""What we know (`World`) and what can happen to it (`changes`): frozen values and pure functions, no I/O, no clock."""
