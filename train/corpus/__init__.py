"""Room: the recordings that train and judge a system: found, checked, split by recordist."""
