// The part of <type_traits> that Metal has.
#pragma once
#include "types.h"

namespace metal {

template <typename T, T v>
struct integral_constant {
    static constexpr T value = v;
    typedef T value_type;
    typedef integral_constant type;
    constexpr operator T() const { return v; }
};
template <bool b>
using bool_constant = integral_constant<bool, b>;
typedef bool_constant<true> true_type;
typedef bool_constant<false> false_type;

template <bool, typename T = void>
struct enable_if {};
template <typename T>
struct enable_if<true, T> {
    typedef T type;
};
template <bool b, typename T = void>
using enable_if_t = typename enable_if<b, T>::type;

template <bool, typename A, typename B>
struct conditional {
    typedef A type;
};
template <typename A, typename B>
struct conditional<false, A, B> {
    typedef B type;
};
template <bool b, typename A, typename B>
using conditional_t = typename conditional<b, A, B>::type;

template <typename T, typename U>
struct is_same : bool_constant<__is_same(T, U)> {};
template <typename T, typename U>
constexpr bool is_same_v = __is_same(T, U);

template <typename T>
struct remove_const {
    typedef T type;
};
template <typename T>
struct remove_const<const T> {
    typedef T type;
};
template <typename T>
using remove_const_t = typename remove_const<T>::type;
template <typename T>
struct remove_volatile {
    typedef T type;
};
template <typename T>
struct remove_volatile<volatile T> {
    typedef T type;
};
template <typename T>
using remove_volatile_t = typename remove_volatile<T>::type;
template <typename T>
struct remove_cv : remove_volatile<remove_const_t<T>> {};
template <typename T>
using remove_cv_t = typename remove_cv<T>::type;
template <typename T>
struct remove_reference {
    typedef T type;
};
template <typename T>
struct remove_reference<T&> {
    typedef T type;
};
template <typename T>
struct remove_reference<T&&> {
    typedef T type;
};
template <typename T>
using remove_reference_t = typename remove_reference<T>::type;

template <typename T>
using remove_addrspace_t = typename remove_addrspace<T>::type;

// half and bfloat count as floating point, and a vector as what its elements are, as in Metal.
template <typename T>
constexpr bool is_floating_point_v = __is_floating_point(typename emulator::Shape<remove_cv_t<T>>::Scalar)
    || __is_same(remove_cv_t<T>, half) || __is_same(remove_cv_t<T>, bfloat);
template <typename T>
constexpr bool is_integral_v = __is_integral(remove_cv_t<T>);
template <typename T>
constexpr bool is_arithmetic_v = is_floating_point_v<T> || is_integral_v<T>;
template <typename T>
constexpr bool is_signed_v = is_floating_point_v<T> || __is_signed(T);
template <typename T>
constexpr bool is_unsigned_v = __is_unsigned(T);
template <typename T>
constexpr bool is_pointer_v = __is_pointer(T);
template <typename T>
constexpr bool is_class_v = __is_class(T);
template <typename T>
constexpr bool is_enum_v = __is_enum(T);
template <typename T>
constexpr bool is_const_v = __is_const(T);
template <typename T, typename U>
constexpr bool is_convertible_v = __is_convertible(T, U);
template <typename T, typename U>
constexpr bool is_base_of_v = __is_base_of(T, U);
template <typename T>
constexpr bool is_scalar_v = is_arithmetic_v<T> || __is_enum(T) || __is_pointer(T);
template <typename T>
constexpr bool is_void_v = __is_void(T);
template <typename T>
constexpr bool is_trivial_v = __is_trivially_copyable(T);

template <typename T>
struct is_floating_point : bool_constant<is_floating_point_v<T>> {};
template <typename T>
struct is_integral : bool_constant<is_integral_v<T>> {};
template <typename T>
struct is_arithmetic : bool_constant<is_arithmetic_v<T>> {};
template <typename T>
struct is_signed : bool_constant<is_signed_v<T>> {};
template <typename T>
struct is_unsigned : bool_constant<is_unsigned_v<T>> {};
template <typename T>
struct is_pointer : bool_constant<is_pointer_v<T>> {};
template <typename T>
struct is_class : bool_constant<is_class_v<T>> {};
template <typename T>
struct is_enum : bool_constant<is_enum_v<T>> {};
template <typename T>
struct is_const : bool_constant<is_const_v<T>> {};
template <typename T, typename U>
struct is_convertible : bool_constant<is_convertible_v<T, U>> {};
template <typename T, typename U>
struct is_base_of : bool_constant<is_base_of_v<T, U>> {};
template <typename T>
struct is_scalar : bool_constant<is_scalar_v<T>> {};
template <typename T>
struct is_void : bool_constant<is_void_v<T>> {};

template <typename T>
struct make_unsigned {
    typedef __make_unsigned(T) type;
};
template <typename T>
using make_unsigned_t = typename make_unsigned<T>::type;
template <typename T>
struct make_signed {
    typedef __make_signed(T) type;
};
template <typename T>
using make_signed_t = typename make_signed<T>::type;

template <typename T>
T&& declval();

} // namespace metal
