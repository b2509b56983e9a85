"""Room: what the network is shown: windows cut from recordings, augmented, batched, labelled."""
