#include "embedded_library.h"

#include <ATen/mps/MPSDevice.h>
#include <c10/util/Exception.h>
#include EMBEDDED_METALLIB_HEADER

at::native::mps::MetalShaderLibrary& metal_flash_sdpa::embedded_library() {
  // What torch calls PrecompiledMetalShaderLibrary, which torch 2.12 does not have.
  struct EmbeddedLibrary final : at::native::mps::MetalShaderLibrary {
    EmbeddedLibrary() : MetalShaderLibrary("") {
      NSError* error = nil;
      library = EMBEDDED_METALLIB_NAMESPACE::createLibrary(
          at::mps::MPSDevice::getInstance()->device(), &error);
      TORCH_CHECK(
          library, "launch: Metal refuses the kernels of this build: ",
          error ? error.localizedDescription.UTF8String : "no reason given");
    }
  };
  static auto* const library = new EmbeddedLibrary;
  return *library;
}
