"""Consensus (paper IV-C, IV-D): one port and the engines behind it.

The port is shaped like ABCI 2.0, so that the application never knows which engine drives it. No consensus
protocol is invented here.
"""
