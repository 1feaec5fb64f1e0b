// Metal's language and library for clang's C++ for OpenCL: declarations only, as nothing is run.
#pragma once
#include "atomics.h"
#include "containers.h"
#include "internals.h"
#include "math.h"
#include "matrix.h"
#include "pack.h"
#include "simdgroup.h"
#include "type_traits.h"
