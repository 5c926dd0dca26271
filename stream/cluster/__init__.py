"""The cluster: a stateless door in front of hosts, each a server process with rooms of its own."""
