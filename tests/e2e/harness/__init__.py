"""What the rows stand on: namespaces, servers, child processes, the table."""
