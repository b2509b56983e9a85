"""Room: a network that learns from another what windows of mixed sound hold."""
