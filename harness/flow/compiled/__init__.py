"""What is compiled of the flow itself: the network under fixed gates, the field, the steps, the events."""
