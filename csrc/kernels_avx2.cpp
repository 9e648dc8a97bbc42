// Tile kernels for CPUs with AVX2 and FMA: eight lanes, sixteen registers.
#include "tile_kernels.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma")
#define NUMINA_VECTOR_BYTES 32
#define NUMINA_SCORE_ROWS 4
#define NUMINA_SCORE_VECTORS 3
#define NUMINA_VALUE_ROWS 6
#define NUMINA_VALUE_VECTORS 2
#include "tile_loops.h"
#include "tile_softmax.h"

const TileKernels* avx2_kernels() {
  static constexpr TileKernels KERNELS{"avx2",
                                       VALUE_LANES,
                                       FP32,
                                       {},
                                       pack_queries,
                                       look_up,
                                       bias_row,
                                       raise_max,
                                       exponentiate,
                                       nullptr,
                                       exponentiate_rows,
                                       nullptr,
                                       add_row,
                                       rescale,
                                       scale_rows,
                                       finish_softmax,
                                       write_rows};
  const bool can_run = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return can_run ? &KERNELS : nullptr;
}

}  // namespace numina
#else
const numina::TileKernels* numina::avx2_kernels() { return nullptr; }
#endif
