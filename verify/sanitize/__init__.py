"""NVIDIA's compute-sanitizer over the kernels: four tools that others wrote."""
