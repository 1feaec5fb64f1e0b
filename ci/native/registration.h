// Stands in for the registration.h that kernel-builder writes beside our sources: the same two
// macros, without the Python module: the tests load the extension by its path.
#pragma once

#define TORCH_LIBRARY_EXPAND(NAME, MODULE) TORCH_LIBRARY(NAME, MODULE)
#define REGISTER_EXTENSION(NAME)
