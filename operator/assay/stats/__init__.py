"""Numbers in, numbers out: sequential tests that may be looked at as often as one likes."""
