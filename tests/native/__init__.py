"""The native launcher, run on Linux: its C++ over a stand-in for PyTorch's Metal classes."""
