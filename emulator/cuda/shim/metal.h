// All of Metal that the CUDA executor knows.  ../translation.py puts it before a shader, in one text;
// what is not in this directory is the CPU executor's (../../shim), of which both use the parts that
// do not depend on a machine.
#pragma once
#include "atomics.h"
#include "containers.h"
#include "entry.h"
#include "internals.h"
#include "matrix_common.h"
#include "pack.h"
