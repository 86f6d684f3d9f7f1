"""What several tests share: random and tiny networks, tables and runs; devices elsewhere; scripts that tests start."""
