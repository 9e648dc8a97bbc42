// What the loops see of a tensor: an address, sizes and strides.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <array>
#include <cstdint>
#include <optional>

namespace numina {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Numbers of one dtype in RANK dimensions, with any strides, counted in elements.
template <class T, int RANK>
struct View {
  const T* data = nullptr;
  std::array<int64_t, RANK> sizes{};
  std::array<int64_t, RANK> strides{};

  // Broadcasts the first dimension, which holds for the whole batch where its size is 1.
  const T* of_batch(int64_t batch) const { return data + (sizes[0] == 1 ? 0 : batch * strides[0]); }
};

template <class T, int RANK>
View<T, RANK> view_of(const Tensor& tensor) {
  View<T, RANK> view;
  view.data = static_cast<const T*>(tensor.data_ptr());
  for (int i = 0; i < RANK; ++i) {
    view.sizes[i] = tensor.size(i);
    view.strides[i] = tensor.stride(i);
  }
  return view;
}

// Rows [B, S, H, C] of float or bfloat16; strides count elements.
struct Rows {
  const char* data = nullptr;
  bool is_bf16 = false;
  int64_t batch = 0, length = 0, heads = 0, columns = 0;
  std::array<int64_t, 4> strides{};

  int64_t item() const { return is_bf16 ? 2 : 4; }
  const char* at(int64_t b, int64_t s, int64_t h) const {
    return data + (b * strides[0] + s * strides[1] + h * strides[2]) * item();
  }
};

inline Rows rows_of(const Tensor& tensor) {
  Rows rows;
  rows.data = static_cast<const char*>(tensor.data_ptr());
  rows.is_bf16 = tensor.scalar_type() == ScalarType::BFloat16;
  rows.batch = tensor.size(0);
  rows.length = tensor.size(1);
  rows.heads = tensor.size(2);
  rows.columns = tensor.size(3);
  for (int i = 0; i < 4; ++i) rows.strides[i] = tensor.stride(i);
  return rows;
}

}  // namespace numina
