// All of Metal that the emulator knows.  Forced into every shader; the headers that a shader names
// (../include) hold macros only, as they go through the preprocessor before the source pass.
#pragma once
#pragma clang system_header // may use more of clang than shaders may
#include "atomics.h"
#include "containers.h"
#include "internals.h"
#include "layouts.h"
#include "matrix_common.h"
#include "pack.h"
