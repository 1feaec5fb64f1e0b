// Stands in for PyTorch's Metal classes, which only macOS builds of torch define: it records what
// the launcher binds, and `dispatch` hands the recording to Python, which runs the emulator.
//
// What it follows of the real ones: startEncoding takes the stream's encoder into the function
// object; a tensor is bound as its storage from its offset to the end, without type or shape;
// setBytes copies; dispatch is in threads.  Each thread has a stream of its own here, so nothing
// serialises two launches, as torch's streams would not.

#include <ATen/core/Tensor.h>
#include <c10/core/Storage.h>
#include <torch/library.h>

#include <array>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "../../torch-ext/embedded_library.h"
#include "registration.h"

namespace {

struct Argument {
  const void* address;
  uint64_t size;
  const char* type; // the tensor's dtype; null for bytes
};

// Writes what went wrong, if anything did.
using Problem = std::array<char, 1024>;
using Run = void (*)(
    const char* kernel, const Argument* arguments, uint64_t count, const uint64_t* threadgroups,
    const uint64_t* threads, Problem* problem);

Run run = nullptr;
uint64_t max_threads = 0;
std::unordered_set<std::string> kernels;
std::atomic<bool> inside{false};

struct Recording {
  std::vector<Argument> arguments;
  std::vector<std::vector<char>> bytes; // what setArg copied
};
thread_local Recording stream; // the encoder of this thread's stream

Recording& recording(void* encoder) {
  TORCH_CHECK(encoder, "an argument or a dispatch before startEncoding");
  return *static_cast<Recording*>(encoder);
}

void bind(Recording& to, unsigned index, Argument argument) {
  TORCH_CHECK(index == to.arguments.size(), "argument ", index, " is bound out of order");
  to.arguments.push_back(argument);
}

// Where two threads must not interfere, one waits until the other is likely to be there.
void meet_others() {
  std::this_thread::sleep_for(std::chrono::microseconds(500));
}

// The same memory as a tensor on mps, as far as a tensor can tell; the storage keeps its length.
at::Tensor as_mps(const at::Tensor& tensor) {
  const at::Device mps(at::kMPS, 0);
  const auto& storage = tensor.storage();
  auto* owner = new at::Tensor(tensor);
  at::DataPtr data(
      storage.mutable_data(), owner, [](void* kept) { delete static_cast<at::Tensor*>(kept); },
      mps);
  auto result = at::detail::make_tensor<at::TensorImpl>(
      c10::Storage(c10::Storage::use_byte_size_t(), storage.nbytes(), std::move(data)),
      c10::DispatchKeySet(c10::DispatchKey::MPS), tensor.dtype());
  result.unsafeGetTensorImpl()->set_storage_offset(tensor.storage_offset());
  result.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides());
  return result;
}

} // namespace

namespace at::native::mps {

MetalShaderLibrary::~MetalShaderLibrary() = default;
MTLLibrary_t MetalShaderLibrary::getLibrary() {
  return nullptr;
}
MTLLibrary_t MetalShaderLibrary::getLibrary(const std::initializer_list<std::string>&) {
  return nullptr;
}
std::vector<std::string> MetalShaderLibrary::getFunctionNames() {
  return {kernels.begin(), kernels.end()};
}
std::shared_ptr<MetalKernelFunction> MetalShaderLibrary::getKernelFunction(
    const std::string& name) {
  TORCH_CHECK(!inside.exchange(true), "two threads in getKernelFunction; its maps have no lock");
  meet_others();
  inside = false;
  auto* const known = const_cast<std::string*>(&*kernels.find(name));
  return std::make_shared<MetalKernelFunction>(known, nullptr);
}

MetalKernelFunction::MetalKernelFunction(MTLComputePipelineState_t cps_, MTLFunction_t f_)
    : cps(cps_), func(f_) {}
MetalKernelFunction::~MetalKernelFunction() = default;
uint64_t MetalKernelFunction::getMaxThreadsPerThreadgroup() const {
  return max_threads;
}
void MetalKernelFunction::runCommandBlock(std::function<void(void)> block) {
  block();
}
void MetalKernelFunction::startEncoding() {
  stream = {};
  encoder = &stream;
  meet_others();
}
void MetalKernelFunction::setArg(unsigned index, const at::TensorBase& tensor) {
  const auto offset = tensor.storage_offset() * tensor.element_size();
  const auto* base = static_cast<const char*>(tensor.storage().data());
  bind(
      recording(encoder), index,
      {base + offset, tensor.storage().nbytes() - offset, c10::toString(tensor.scalar_type())});
}
void MetalKernelFunction::setArg(unsigned index, const void* data, uint64_t size) {
  TORCH_CHECK(size > 0 && size <= 4096, "setBytes of ", size, " bytes");
  auto& to = recording(encoder);
  const auto* first = static_cast<const char*>(data);
  to.bytes.emplace_back(first, first + size);
  bind(to, index, {to.bytes.back().data(), size, nullptr});
}
void MetalKernelFunction::dispatch(
    c10::ArrayRef<uint64_t> length, c10::OptionalArrayRef<uint64_t> group) {
  std::array<uint64_t, 3> threadgroups{};
  for (size_t i = 0; i < 3; ++i) {
    TORCH_CHECK(length.at(i) % group->at(i) == 0, "a grid with incomplete threadgroups");
    threadgroups[i] = length[i] / group->at(i);
  }
  const auto& arguments = recording(encoder).arguments;
  Problem problem{};
  run(static_cast<std::string*>(cps)->c_str(), arguments.data(), arguments.size(),
      threadgroups.data(), group->data(), &problem);
  TORCH_CHECK(!problem[0], problem.data());
}

} // namespace at::native::mps

at::native::mps::MetalShaderLibrary& metal_flash_sdpa::embedded_library() {
  static at::native::mps::MetalShaderLibrary library("");
  return library;
}

extern "C" void prepare(Run callback, uint64_t threads, const char* const* names, uint64_t count) {
  run = callback;
  max_threads = threads;
  kernels = {names, names + count};
}

TORCH_LIBRARY_FRAGMENT(TORCH_EXTENSION_NAME, ops) {
  ops.def("as_mps(Tensor tensor) -> Tensor", &as_mps);
}
