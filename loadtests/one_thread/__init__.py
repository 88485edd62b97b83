"""Another arrangement of the service, to be measured: a process a core that does everything in one thread."""
