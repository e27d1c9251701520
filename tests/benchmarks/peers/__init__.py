"""What others would write: servers to compare with, each as a competent user of its library would, and bare ceilings.

``python -m tests.benchmarks.peers.NAME PORT FOLDER`` listens on 127.0.0.1 until it is killed.
"""
