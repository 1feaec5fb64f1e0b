// The native launcher: one op that passes a launch to PyTorch's own Metal classes.
// It knows nothing of attention, opens no command encoder and commits nothing.

#include <ATen/core/Tensor.h>
#include <torch/library.h>

#include <array>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "embedded_library.h"
#include "registration.h"

namespace {

using at::native::mps::MetalKernelFunction;

constexpr size_t kMaxBuffers = 31; // of a kernel: Apple's Metal feature set tables
constexpr size_t kMaxInlineBytes = 4096; // of setBytes: Apple's reference

// Throws ValueError in Python's words: "launch: <what> is <value>: must be from <low> to <high>".
template <typename T, typename... What>
void check_range(T value, T low, T high, const What&... what) {
  TORCH_CHECK_VALUE(
      value >= low && value <= high, "launch: ", what..., " is ", value, ": must be from ", low,
      " to ", high);
}

void check_tensors(at::TensorList tensors) {
  check_range<size_t>(tensors.size(), 0, kMaxBuffers - 2, "the number of tensors");
  for (size_t i = 0; i < tensors.size(); ++i) {
    TORCH_CHECK_VALUE(
        tensors[i].is_mps(), "launch: tensors[", i, "] is on ", tensors[i].device(),
        ": must be on mps");
  }
}

// The values in the type that the kernel reads; a value that does not fit is refused.
template <typename To, typename From>
std::vector<To> narrowed(c10::ArrayRef<From> values, const char* argument, size_t least = 1) {
  using Limits = std::numeric_limits<To>;
  check_range<size_t>(values.size(), least, kMaxInlineBytes / sizeof(To), "the number of ", argument);
  for (size_t i = 0; i < values.size(); ++i) {
    check_range<From>(values[i], Limits::lowest(), Limits::max(), argument, "[", i, "]");
  }
  return {values.begin(), values.end()};
}

// torch caches the function and its pipeline in maps without a lock, so a lock is taken here.  Each
// launch gets an object of its own, because it holds the encoder, and several threads may encode at
// once, each on its stream.
std::shared_ptr<MetalKernelFunction> find(const std::string& kernel) {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  auto& library = metal_flash_sdpa::embedded_library();
  static const auto names = [&] {
    const auto all = library.getFunctionNames();
    return std::unordered_set<std::string>(all.begin(), all.end());
  }();
  TORCH_CHECK_VALUE(
      names.count(kernel), "launch: kernel is '", kernel, "': not among the ", names.size(),
      " kernels of this build");
  return library.getKernelFunction(kernel);
}

// Encode `kernel` on torch's stream; the GPU may run it later.  The tensors are bound first, each
// from its storage offset on, then the ints as int32, then the floats as float32.
void launch(
    const std::string& kernel, at::TensorList tensors, at::IntArrayRef ints,
    at::ArrayRef<double> floats, at::IntArrayRef threadgroups, int64_t threads) {
  check_tensors(tensors);
  const auto int32s = narrowed<int32_t>(ints, "ints");
  const auto float32s = narrowed<float>(floats, "floats", 0);
  check_range<size_t>(threadgroups.size(), 3, 3, "the number of threadgroups");
  const auto counts = narrowed<uint32_t>(threadgroups, "threadgroups");
  const auto function = find(kernel);
  check_range<int64_t>(
      threads, 1, function->getMaxThreadsPerThreadgroup(), "threads (for ", kernel, ")");

  const std::array<uint64_t, 3> threadgroup{static_cast<uint64_t>(threads), 1, 1};
  const std::array<uint64_t, 3> grid{counts[0] * threadgroup[0], counts[1], counts[2]};
  if (!grid[0] || !grid[1] || !grid[2]) { // nothing to do, and Metal takes no empty grid
    return;
  }
  function->runCommandBlock([&] {
    function->startEncoding();
    unsigned index = 0;
    for (const auto& tensor : tensors) {
      function->setArg(index++, tensor);
    }
    function->setArg(index++, int32s);
    if (!float32s.empty()) { // some kernels take none
      function->setArg(index, float32s);
    }
    function->dispatch(grid, threadgroup);
  });
}

} // namespace

TORCH_LIBRARY_EXPAND(TORCH_EXTENSION_NAME, ops) {
  ops.def(
      "launch(str kernel, Tensor(a!)[] tensors, int[] ints, float[] floats, int[] threadgroups, "
      "int threads) -> ()");
  // For every device, so that a tensor on a wrong one gets the op's own message.
  ops.impl("launch", c10::DispatchKey::CompositeExplicitAutograd, &launch);
}

REGISTER_EXTENSION(TORCH_EXTENSION_NAME)
