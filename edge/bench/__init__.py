"""Room: how fast this machine is with a bundle. Benchmarks, never tests."""
