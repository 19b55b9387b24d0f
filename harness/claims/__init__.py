"""The claims, what decides each, and the retracing of paths."""
