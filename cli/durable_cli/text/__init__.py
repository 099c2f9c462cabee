"""What is said to people, as text: pure functions and formatters that know no terminal and escape what they quote."""
