"""The CometBFT engine: consensus between parties that do not trust each other is CometBFT v0.38's, not ours.

Each node is two processes: CometBFT, and the application that it drives over ABCI 2.0. `server` speaks the
protocol, `replica` carries it out on the same application as the embedded engine, `engine` hands a node's
transactions to CometBFT and waits for them, `home` writes what CometBFT reads, `supervising` keeps both up.
"""
