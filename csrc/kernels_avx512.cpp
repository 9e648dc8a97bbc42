// Tile kernels for CPUs with AVX-512: sixteen lanes, thirty-two registers.
#include "tile_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma")
#define NUMINA_VECTOR_BYTES 64
#define NUMINA_SCORE_ROWS 8
#define NUMINA_SCORE_VECTORS 3
#define NUMINA_VALUE_ROWS 12
#define NUMINA_VALUE_VECTORS 2
#include "tile_loops.h"
#include "tile_softmax.h"

const TileKernels* avx512_kernels() {
  static constexpr TileKernels KERNELS{
      "avx512",          VALUE_LANES, FP32,      {},           pack_queries,
      look_up,           bias_row,    raise_max, exponentiate, nullptr,
      exponentiate_rows, nullptr,     add_row,   rescale,      scale_rows,
      finish_softmax,    write_rows};
  const bool can_run = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return can_run ? &KERNELS : nullptr;
}

}  // namespace numina
#else
const numina::TileKernels* numina::avx512_kernels() { return nullptr; }
#endif
