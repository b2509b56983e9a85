"""Room: heads that are sent to a recorder: believed, proven, on trial, and taken back."""
