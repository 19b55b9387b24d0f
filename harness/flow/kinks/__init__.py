"""What is decided at kinks: the gates, and which way the flow leaves."""
