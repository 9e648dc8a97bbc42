// The bodies of the tile kernels, in the vector extensions of GCC and Clang.
//
// Included once by each `kernels_*.cpp`, after it chose the instruction set and defined
// NUMINA_VECTOR_BYTES and the register blocks. Everything is in an unnamed namespace and nothing of
// the standard library is used: an inline function shared between translation units could otherwise
// be taken from the one that was compiled for a newer CPU.
#include "tile_kernels.h"

namespace numina {
namespace {

constexpr int WIDTH = NUMINA_VECTOR_BYTES / 4;

typedef float Vec __attribute__((vector_size(NUMINA_VECTOR_BYTES), aligned(4), may_alias));
typedef uint32_t Bits __attribute__((vector_size(NUMINA_VECTOR_BYTES), aligned(4), may_alias));
typedef int32_t Mask __attribute__((vector_size(NUMINA_VECTOR_BYTES), aligned(4), may_alias));
typedef uint16_t Halves
    __attribute__((vector_size(NUMINA_VECTOR_BYTES / 2), aligned(2), may_alias));
typedef float Unaligned __attribute__((vector_size(NUMINA_VECTOR_BYTES), aligned(1), may_alias));

constexpr float INF = __builtin_inff();
constexpr float LN2 = 0.693147180559945309f;

inline Vec load(const float* from) { return *reinterpret_cast<const Vec*>(from); }
inline void store(float* to, Vec value) { *reinterpret_cast<Vec*>(to) = value; }
inline Vec all(float value) { return value - Vec{}; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }

// Relative error 2e-8; exactly 1 from 0 on, 0 below -126.5, NaN stays NaN. Only rounding brings an
// exponent above 0: that of a huge known log-sum-exp is many nats, and a probability is at most 1.
inline Vec exp2(Vec x) {
  x = x < -127.0f ? all(-127.0f) : x;
  x = x > 0.0f ? all(0.0f) : x;
  // Adding 1.5 * 2^23 rounds to an integer, which is then found in the lowest bits.
  const Vec shifted = x + 12582912.0f;
  const Vec f = x - (shifted - 12582912.0f);
  Vec p = f * 1.535336188319500e-4f + 1.339887440266574e-3f;
  p = p * f + 9.618437357674640e-3f;
  p = p * f + 5.550332471162809e-2f;
  p = p * f + 2.402264791363012e-1f;
  p = p * f + 6.931472028550421e-1f;
  p = p * f + 1.0f;
  // A product, not a sum of exponents, so that NaN stays NaN.
  return p * (Vec)(((Bits)shifted + 127u) << 23);
}

// For 0, normal positive numbers, inf and NaN.
inline Vec log2(Vec x) {
  // x = m * 2^e with m in [sqrt(1/2), sqrt(2)); log(m) = 2 artanh((m - 1) / (m + 1)).
  const Bits shifted = (Bits)x - 0x3f3504f3u;
  const Mask exponent = (Mask)shifted >> 23;
  const Vec m = (Vec)((shifted & 0x007fffffu) + 0x3f3504f3u);
  const Vec t = (m - 1.0f) / (m + 1.0f);
  const Vec t2 = t * t;
  Vec p = t2 * (2.0f / 9.0f) + 2.0f / 7.0f;
  p = p * t2 + 2.0f / 5.0f;
  p = p * t2 + 2.0f / 3.0f;
  p = p * t2 + 2.0f;
  const Vec result = __builtin_convertvector(exponent, Vec) + p * t * 1.44269504088896341f;
  return x > 0.0f ? (x < INF ? result : x) : (x == 0.0f ? all(-INF) : x);
}

struct Fp32Product {
  static inline Vec multiply_add(Vec sum, float a, Vec b) { return sum + a * b; }
};

template <class Product, int ROWS>
inline void score_rows(const float* queries, const float* keys, int64_t depth, float scale,
                       const float* offset, float* scores) {
  constexpr int VECTORS = NUMINA_SCORE_VECTORS, LANES = VECTORS * WIDTH;
  Vec sum[ROWS][VECTORS] = {};
  for (int64_t d = 0; d < depth; ++d) {
    Vec b[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) b[v] = load(queries + d * LANES + v * WIDTH);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const float a = keys[i * depth + d];
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = Product::multiply_add(sum[i][v], a, b[v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i) {
    const float shift = offset ? offset[i] : 0.0f;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v)
      store(scores + i * TILE_QUERIES + v * WIDTH, sum[i][v] * scale + shift);
  }
}

// The keys that are left over by blocks of ROWS + 1.
template <class Product, int ROWS>
inline void score_rest(const float* queries, const float* keys, int64_t count, int64_t depth,
                       float scale, const float* offset, float* scores) {
  if constexpr (ROWS > 0) {
    if (count == ROWS)
      score_rows<Product, ROWS>(queries, keys, depth, scale, offset, scores);
    else
      score_rest<Product, ROWS - 1>(queries, keys, count, depth, scale, offset, scores);
  }
}

template <class Product>
void score(const float* queries, const float* keys, int64_t count, int64_t depth, float scale,
           const float* offset, int64_t rows, float* scores) {
  constexpr int ROWS = NUMINA_SCORE_ROWS, LANES = NUMINA_SCORE_VECTORS * WIDTH;
  static_assert(TILE_QUERIES % LANES == 0);
  for (int64_t q = 0; q < rows; q += LANES) {
    const float* panel = queries + q * depth;
    int64_t k = 0;
    for (; k + ROWS <= count; k += ROWS)
      score_rows<Product, ROWS>(panel, keys + k * depth, depth, scale, offset ? offset + k : offset,
                                scores + k * TILE_QUERIES + q);
    score_rest<Product, ROWS - 1>(panel, keys + k * depth, count - k, depth, scale,
                                  offset ? offset + k : offset, scores + k * TILE_QUERIES + q);
  }
  // Queries that are not there have the scores 0, so that nothing below meets a stale NaN.
  const int64_t written = (rows + LANES - 1) / LANES * LANES;
  for (int64_t k = 0; k < count && written < TILE_QUERIES; ++k)
    for (int64_t q = written; q < TILE_QUERIES; ++q) scores[k * TILE_QUERIES + q] = 0.0f;
}

template <class Product, int VECTORS>
inline void accumulate_block(const float* probs, int64_t words, const float* values, bool is_first,
                             float* output, int64_t output_stride) {
  constexpr int ROWS = NUMINA_VALUE_ROWS, LANES = NUMINA_VALUE_VECTORS * WIDTH;
  Vec sum[ROWS][VECTORS] = {};
  for (int64_t k = 0; k < words; ++k) {
    Vec b[VECTORS];
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) b[v] = load(values + k * LANES + v * WIDTH);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; ++i) {
      const float a = probs[k * TILE_QUERIES + i];
#pragma GCC unroll 8
      for (int v = 0; v < VECTORS; ++v) sum[i][v] = Product::multiply_add(sum[i][v], a, b[v]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < ROWS; ++i)
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; ++v) {
      float* place = output + i * output_stride + v * WIDTH;
      store(place, is_first ? sum[i][v] : load(place) + sum[i][v]);
    }
}

template <class Product>
void accumulate(const float* probs, int64_t words, int64_t rows, const float* values,
                int64_t panel_stride, int64_t columns, bool is_first, float* output,
                int64_t output_stride) {
  constexpr int ROWS = NUMINA_VALUE_ROWS, LANES = NUMINA_VALUE_VECTORS * WIDTH;
  // So many words of a panel stay in the first-level cache while all rows pass over them.
  constexpr int64_t CHUNK = 128;
  static_assert(TILE_QUERIES % ROWS == 0 && NUMINA_VALUE_VECTORS == 2);
  for (int64_t k = 0; k < words; k += CHUNK) {
    const int64_t count = words - k < CHUNK ? words - k : CHUNK;
    const bool is_fresh = is_first && k == 0;
    for (int64_t c = 0; c < columns; c += LANES) {
      const float* panel = values + c / LANES * panel_stride + k * LANES;
      for (int64_t q = 0; q < rows; q += ROWS) {
        const float* some = probs + k * TILE_QUERIES + q;
        float* target = output + q * output_stride + c;
        if (columns - c > WIDTH)
          accumulate_block<Product, 2>(some, count, panel, is_fresh, target, output_stride);
        else
          accumulate_block<Product, 1>(some, count, panel, is_fresh, target, output_stride);
      }
    }
  }
}

// Lanes `order` of `a` followed by `b`.
inline Vec shuffle(Vec a, Vec b, Mask order) {
#if defined(__clang__)
  Vec result;
  for (int j = 0; j < WIDTH; ++j) result[j] = order[j] < WIDTH ? a[order[j]] : b[order[j] - WIDTH];
  return result;
#else
  return __builtin_shuffle(a, b, order);
#endif
}

// Swap bit STEP of the row with bit STEP of the lane.
template <int STEP>
inline void transpose_step(Vec* rows) {
  Mask low{}, high{};
  for (int j = 0; j < WIDTH; ++j) {
    low[j] = j & STEP ? WIDTH + j - STEP : j;
    high[j] = j & STEP ? WIDTH + j : j + STEP;
  }
#pragma GCC unroll 16
  for (int i = 0; i < WIDTH; ++i) {
    if (i & STEP) continue;
    const Vec a = rows[i], b = rows[i + STEP];
    rows[i] = shuffle(a, b, low);
    rows[i + STEP] = shuffle(a, b, high);
  }
}

inline void transpose(Vec* rows) {
  transpose_step<1>(rows);
  transpose_step<2>(rows);
  if constexpr (WIDTH >= 8) transpose_step<4>(rows);
  if constexpr (WIDTH >= 16) transpose_step<8>(rows);
}

void pack_queries(const char* queries, int64_t row_bytes, int64_t rows, int64_t depth,
                  float* packed) {
  constexpr int LANES = NUMINA_SCORE_VECTORS * WIDTH;
  for (int64_t q = 0; q < rows; q += WIDTH) {
    float* panel = packed + q / LANES * LANES * depth + q % LANES;
    const int64_t count = rows - q < WIDTH ? rows - q : WIDTH;
    int64_t d = 0;
    for (; d + WIDTH <= depth; d += WIDTH) {
      Vec block[WIDTH];
#pragma GCC unroll 16
      for (int i = 0; i < WIDTH; ++i)
        block[i] = i < count
                       ? *reinterpret_cast<const Unaligned*>(queries + (q + i) * row_bytes + d * 4)
                       : Vec{};
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < WIDTH; ++i) store(panel + (d + i) * LANES, block[i]);
    }
    for (; d < depth; ++d)
      for (int64_t i = 0; i < WIDTH; ++i) {
        float word = 0.0f;
        if (i < count) __builtin_memcpy(&word, queries + (q + i) * row_bytes + d * 4, 4);
        __builtin_memcpy(panel + d * LANES + i, &word, 4);
      }
  }
  // The rest of the last panel.
  const int64_t end = (rows + LANES - 1) / LANES * LANES;
  for (int64_t q = (rows + WIDTH - 1) / WIDTH * WIDTH; q < end; q += WIDTH)
    for (int64_t d = 0; d < depth; ++d)
      store(packed + q / LANES * LANES * depth + q % LANES + d * LANES, Vec{});
}
