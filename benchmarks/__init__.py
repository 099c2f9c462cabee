"""Measurements of the product beside bare aiohttp and, where node is present, workerd and `wrangler dev`.

`python -m benchmarks` starts every server as a process of its own, drives them from one client process in alternating
rounds, and prints medians with their ratios. It knows the product only from outside: a command, a port, a file to edit.
"""
