"""Room: a network that learns from another, its teacher, what windows of mixed sound hold."""
