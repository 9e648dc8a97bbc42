// Tile kernels for CPUs with AVX-512 BF16: products of pairs of bfloat16, summed in float.
#include "tile_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,avx512bf16")
#define NUMINA_VECTOR_BYTES 64
#define NUMINA_SCORE_ROWS 8
#define NUMINA_SCORE_VECTORS 3
#define NUMINA_VALUE_ROWS 12
#define NUMINA_VALUE_VECTORS 2
#include "tile_loops.h"
#include "tile_softmax.h"

namespace {

// sum + a[0] * b[0] + a[1] * b[1] for the pairs of each word.
inline Vec add_products(Vec sum, Vec a, Vec b) {
  return _mm512_dpbf16_ps(sum, (__m512bh)(__m512)a, (__m512bh)(__m512)b);
}

struct Bf16Product {
  static inline Vec multiply_add(Vec sum, float a, Vec b) {
    return add_products(sum, _mm512_set1_ps(a), b);
  }
};

// Word j is the bfloat16 pair (first[j], second[j]). The instruction keeps NaN.
inline Vec pair_up(Vec first, Vec second) {
  const Bits low = __builtin_convertvector((Halves)_mm512_cvtneps_pbh(first), Bits);
  const Bits high = __builtin_convertvector((Halves)_mm512_cvtneps_pbh(second), Bits);
  return (Vec)(low | high << 16);
}

void exponentiate_pairs(float* scores, int64_t count, const float* pivot, float* sums,
                        float* rounded_sums, float* pairs, bool keep_scores) {
  const Vec ones = (Vec)(Bits{} + 0x3f803f80u);
  for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
    const Vec low = load(pivot + q);
    Vec sum[SUM_PARTS] = {}, rounded_sum{};
    int64_t k = 0;
    for (; k + SUM_PARTS <= count; k += SUM_PARTS) {
      float* place = scores + k * TILE_QUERIES + q;
      Vec p[SUM_PARTS];
#pragma GCC unroll 4
      for (int i = 0; i < SUM_PARTS; ++i) {
        p[i] = exp2(load(place + i * TILE_QUERIES) - low);
        sum[i] += p[i];
        if (keep_scores) store(place + i * TILE_QUERIES, p[i]);
      }
#pragma GCC unroll 2
      for (int i = 0; i < SUM_PARTS; i += 2) {
        const Vec pair = pair_up(p[i], p[i + 1]);
        store(pairs + (k + i) / 2 * TILE_QUERIES + q, pair);
        rounded_sum = add_products(rounded_sum, ones, pair);
      }
    }
    for (; k < count; k += 2) {
      float* place = scores + k * TILE_QUERIES + q;
      const bool is_pair = k + 1 < count;
      const Vec first = exp2(load(place) - low);
      const Vec second = is_pair ? exp2(load(place + TILE_QUERIES) - low) : Vec{};
      const Vec pair = pair_up(first, second);
      store(pairs + k / 2 * TILE_QUERIES + q, pair);
      rounded_sum = add_products(rounded_sum, ones, pair);
      if (keep_scores) store(place, first);
      if (keep_scores && is_pair) store(place + TILE_QUERIES, second);
      sum[0] += first;
      sum[1] += second;
    }
    store(sums + q, load(sums + q) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
    store(rounded_sums + q, load(rounded_sums + q) + rounded_sum);
  }
}

void exponentiate_row_pairs(float* scores, int64_t count, const float* pivot, float* pairs) {
  for (int64_t k = 0; k < count; k += 2)
    for (int64_t q = 0; q < TILE_QUERIES; q += WIDTH) {
      const float* place = scores + k * TILE_QUERIES + q;
      const Vec first = exp2(load(place) - pivot[k]);
      const Vec second = k + 1 < count ? exp2(load(place + TILE_QUERIES) - pivot[k + 1]) : Vec{};
      store(pairs + k / 2 * TILE_QUERIES + q, pair_up(first, second));
    }
}

constexpr Products BF16{2, score<Bf16Product>, accumulate<Bf16Product>};

}  // namespace

const TileKernels* avx512_bf16_kernels() {
  static constexpr TileKernels KERNELS{"avx512_bf16",
                                       VALUE_LANES,
                                       FP32,
                                       BF16,
                                       pack_queries,
                                       look_up,
                                       bias_row,
                                       raise_max,
                                       exponentiate,
                                       exponentiate_pairs,
                                       exponentiate_rows,
                                       exponentiate_row_pairs,
                                       add_row,
                                       rescale,
                                       scale_rows,
                                       finish_softmax,
                                       write_rows};
  const bool can_run = avx512_kernels() != nullptr && __builtin_cpu_supports("avx512bf16");
  return can_run ? &KERNELS : nullptr;
}

}  // namespace numina
#else
const numina::TileKernels* numina::avx512_bf16_kernels() { return nullptr; }
#endif
