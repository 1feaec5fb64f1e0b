// Which memory a barrier is for.
#pragma once
#include "types.h"

namespace metal {

enum class mem_flags : uint {
    mem_none = 0,
    mem_device = 1,
    mem_threadgroup = 2,
    mem_texture = 4,
    mem_threadgroup_imageblock = 8,
};
METAL_FUNC constexpr mem_flags operator|(mem_flags a, mem_flags b)
{
    return static_cast<mem_flags>(static_cast<uint>(a) | static_cast<uint>(b));
}
METAL_FUNC constexpr mem_flags operator&(mem_flags a, mem_flags b)
{
    return static_cast<mem_flags>(static_cast<uint>(a) & static_cast<uint>(b));
}

} // namespace metal
