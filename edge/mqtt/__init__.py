"""Room: delivery of the store's outbox to an MQTT broker, until each message is acknowledged."""
