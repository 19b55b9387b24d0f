"""The harness as a part of pytest."""
