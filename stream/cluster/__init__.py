"""The cluster: a stateless gateway (the door) in front of hosts, each a server process with rooms of its own."""
