"""The subspaces that the flow never leaves: found modulo primes, lifted, and proven in integers."""
