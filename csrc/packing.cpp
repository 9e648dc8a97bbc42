// Rows of a tensor, copied into the words that the products read.
#include "packing.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace numina {
namespace {

float widen(uint16_t half) {
  const uint32_t bits = static_cast<uint32_t>(half) << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

float widen(float value) { return value; }

// The elements of a row next to each other: in place, or gathered into `buffer`.
template <class T>
const T* neighbours(const Rows& rows, const char* row, std::vector<T>& buffer) {
  const T* elements = reinterpret_cast<const T*>(row);
  if (rows.strides[3] == 1) return elements;
  buffer.resize(rows.columns);
  for (int64_t c = 0; c < rows.columns; ++c) buffer[c] = elements[c * rows.strides[3]];
  return buffer.data();
}

template <class T>
void pack_floats(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
                 float* packed) {
  std::vector<T> buffer;
  for (int64_t s = begin; s < end; ++s, packed += rows.columns) {
    const T* row = neighbours(rows, rows.at(batch, s, head), buffer);
    for (int64_t c = 0; c < rows.columns; ++c) packed[c] = widen(row[c]);
  }
}

void pack_pairs(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
                float* packed) {
  const int64_t words = words_for(rows.columns, 2);
  std::vector<uint16_t> buffer;
  for (int64_t s = begin; s < end; ++s, packed += words) {
    const uint16_t* row = neighbours(rows, rows.at(batch, s, head), buffer);
    packed[words - 1] = 0.0f;
    std::memcpy(packed, row, 2 * rows.columns);
  }
}

template <class T>
void pack_float_panels(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
                       int64_t lanes, int64_t panel_stride, float* packed) {
  std::vector<T> buffer;
  for (int64_t s = begin; s < end; ++s) {
    const T* row = neighbours(rows, rows.at(batch, s, head), buffer);
    float* panel = packed + s * lanes;
    for (int64_t c = 0; c < rows.columns; c += lanes, panel += panel_stride) {
      const int64_t count = std::min(lanes, rows.columns - c);
      for (int64_t i = 0; i < count; ++i) panel[i] = widen(row[c + i]);
      std::fill(panel + count, panel + lanes, 0.0f);
    }
  }
}

void pack_pair_panels(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
                      int64_t lanes, int64_t panel_stride, float* packed) {
  std::vector<uint16_t> low_buffer, high_buffer;
  std::vector<uint16_t> nothing(rows.columns, 0);
  std::vector<uint32_t> words(lanes);
  for (int64_t s = begin; s < end; s += 2) {
    const uint16_t* low = neighbours(rows, rows.at(batch, s, head), low_buffer);
    const uint16_t* high = nothing.data();
    if (s + 1 < end) high = neighbours(rows, rows.at(batch, s + 1, head), high_buffer);
    float* panel = packed + s / 2 * lanes;
    for (int64_t c = 0; c < rows.columns; c += lanes, panel += panel_stride) {
      const int64_t count = std::min(lanes, rows.columns - c);
      for (int64_t i = 0; i < count; ++i)
        words[i] = low[c + i] | static_cast<uint32_t>(high[c + i]) << 16;
      std::fill(words.begin() + count, words.end(), 0u);
      std::memcpy(panel, words.data(), 4 * lanes);
    }
  }
}

}  // namespace

void pack_rows(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
               int64_t per_word, float* packed) {
  if (per_word == 2)
    pack_pairs(rows, batch, head, begin, end, packed);
  else if (rows.is_bf16)
    pack_floats<uint16_t>(rows, batch, head, begin, end, packed);
  else
    pack_floats<float>(rows, batch, head, begin, end, packed);
}

void pack_panels(const Rows& rows, int64_t batch, int64_t head, int64_t begin, int64_t end,
                 int64_t per_word, int64_t lanes, int64_t panel_stride, float* packed) {
  if (per_word == 2)
    pack_pair_panels(rows, batch, head, begin, end, lanes, panel_stride, packed);
  else if (rows.is_bf16)
    pack_float_panels<uint16_t>(rows, batch, head, begin, end, lanes, panel_stride, packed);
  else
    pack_float_panels<float>(rows, batch, head, begin, end, lanes, panel_stride, packed);
}

}  // namespace numina
