"""The trainer a second time, for many flows at once on any torch device."""
