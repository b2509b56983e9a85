"""Room: `make gpu`, what this project does on a machine with an NVIDIA card, as one document."""
