// What Python gets of a kernel's parameters.
#pragma once
#include "type_traits.h"

namespace metal {
namespace emulator {

// Of a parameter's type; ../launch/structs.py repeats its layout.
struct Parameter {
    Space space;
    bool is_const;
    bool is_reference;
    char scalar; // as in Python's struct module; 'E' is bfloat, 'S' a struct, 'V' void
    unsigned width; // elements of a vector
    unsigned size;  // bytes
};

template <typename T>
struct BytesOf {
    static constexpr unsigned value = sizeof(T);
};
template <>
struct BytesOf<void> { // behind a pointer to it lies what the shader makes of it
    static constexpr unsigned value = 1;
};

template <typename T>
constexpr Parameter describe(Space space, bool is_const, bool is_reference)
{
    typedef Shape<remove_cv_t<T>> S;
    return {space, is_const, is_reference, ScalarCode<typename S::Scalar>::value, S::width, BytesOf<remove_cv_t<T>>::value};
}

} // namespace emulator
} // namespace metal
