"""How a limit is settled: the KKT point that the flow points at, whether it goes there, and what dies on the way."""
