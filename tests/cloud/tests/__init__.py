"""The loopback cloud, held against Google's own clients."""
