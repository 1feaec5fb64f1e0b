// Metal's address spaces are OpenCL's.  Words that only OpenCL has become plain names.
#pragma once
#pragma OPENCL EXTENSION cl_khr_fp16 : enable

#define device __global
#define constant __constant
#define threadgroup __local
#define thread __private

#define METAL_FUNC inline __attribute__((always_inline))

#define kernel // a function like any other: OpenCL's kernels are no templates
#define global metal_global
#define local metal_local
#define generic metal_generic
#define pipe metal_pipe
#define read_only metal_read_only
#define write_only metal_write_only
#define read_write metal_read_write

// These are types that clang itself declares outside of all namespaces.
#define atomic_int metal_atomic_int
#define atomic_uint metal_atomic_uint
#define atomic_float metal_atomic_float
#define atomic_ulong metal_atomic_ulong
