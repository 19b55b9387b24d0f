"""What there is: networks, instances, limits, exact numbers, and the one strict reader of JSON."""
