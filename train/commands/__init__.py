"""Room: `edge-train`, a function for each command, and the experiments that run several of them."""
