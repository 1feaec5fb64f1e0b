#pragma once

#include <ATen/native/mps/MetalShaderLibrary.h>

namespace metal_flash_sdpa {

// The kernels that were built into this extension; made on first use, never destroyed.
// Throws c10::Error, and tries again on the next call, if Metal refuses them.
at::native::mps::MetalShaderLibrary& embedded_library();

} // namespace metal_flash_sdpa
