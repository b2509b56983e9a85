"""Room: `edge-train`, a function for each command, and experiments that run several of them."""
