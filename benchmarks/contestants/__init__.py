"""What is compared: programs that bring one image to many hosts, each behind one function."""
